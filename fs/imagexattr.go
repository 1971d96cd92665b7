package fs

import (
	"context"
	"strconv"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"glancefs/cache"
)

var (
	_ = (gofs.NodeGetxattrer)((*imageDir)(nil))
	_ = (gofs.NodeListxattrer)((*imageDir)(nil))
	_ = (gofs.NodeSetxattrer)((*imageDir)(nil))
	_ = (gofs.NodeRemovexattrer)((*imageDir)(nil))
	_ = (gofs.NodeGetxattrer)((*imageData)(nil))
	_ = (gofs.NodeListxattrer)((*imageData)(nil))
	_ = (gofs.NodeSetxattrer)((*imageData)(nil))
	_ = (gofs.NodeRemovexattrer)((*imageData)(nil))
)

// Getxattr returns a field of the image.
func (d *imageDir) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return d.t.getxattr(ctx, d.id, name, dest)
}

// Listxattr names the fields of the image.
func (d *imageDir) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	return d.t.listxattr(ctx, d.id, dest)
}

// Setxattr changes a field of the image.
func (d *imageDir) Setxattr(ctx context.Context, name string, value []byte, flags uint32) syscall.Errno {
	return d.t.setxattr(ctx, d.id, name, string(value), flags)
}

// Removexattr takes a field away.
func (d *imageDir) Removexattr(ctx context.Context, name string) syscall.Errno {
	return d.t.removexattr(ctx, d.id, name)
}

// Getxattr returns a field of the image, how much of it this host holds, whether all
// of that is known to be right, or why that could not be found out.
func (d *imageData) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	switch name {
	case heldAttr:
		img, err := d.current(ctx)
		if err != nil {
			return 0, d.t.errno("getxattr", err)
		}
		return answer(strconv.FormatInt(d.t.held(img), 10), dest)
	case verifiedAttr:
		return answer(d.verification(ctx), dest)
	case unverifiedAttr:
		if why := d.unverified(ctx); why != "" {
			return answer(why, dest)
		}
	case errorAttr:
		if why := d.unfilled(); why != "" {
			return answer(why, dest)
		}
	}
	return d.t.getxattr(ctx, d.id, name, dest)
}

// Listxattr names what Getxattr returns.
func (d *imageData) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	more := []string{heldAttr, verifiedAttr}
	if d.unverified(ctx) != "" {
		more = append(more, unverifiedAttr)
	}
	if d.unfilled() != "" {
		more = append(more, errorAttr)
	}
	return d.t.listxattr(ctx, d.id, dest, more...)
}

// unfilled is why what was written for a queued image is not its data, "" if nothing
// was or it is on its way.
func (d *imageData) unfilled() string {
	if draft := d.t.incoming.filler(d.id); draft != nil {
		return draft.known().Error
	}
	return ""
}

// Setxattr changes a field of the image.
func (d *imageData) Setxattr(ctx context.Context, name string, value []byte, flags uint32) syscall.Errno {
	return d.t.setxattr(ctx, d.id, name, string(value), flags)
}

// Removexattr takes a field away. Without what is known of its verification an image is
// verified again, and one that did not match is fetched again.
func (d *imageData) Removexattr(ctx context.Context, name string) syscall.Errno {
	if name == verifiedAttr {
		d.judged(ctx, (*cache.Blob).Recheck)
		return 0
	}
	return d.t.removexattr(ctx, d.id, name)
}
