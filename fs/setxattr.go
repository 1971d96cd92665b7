package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"

	"glancefs/cache"
	"glancefs/glanceapi"
)

// setxattr changes one field or property of an image. Names that are none are
// refused in the way that lets cp -a go on.
func (t *tree) setxattr(ctx context.Context, id, name, value string, flags uint32) syscall.Errno {
	key, ok := strings.CutPrefix(name, fieldPrefix)
	if !ok {
		return errnoUnsupported
	}
	have, there, err := t.attribute(ctx, id, name)
	switch {
	case err != nil:
	case there && flags&unix.XATTR_CREATE != 0:
		return errnoExists
	case !there && flags&unix.XATTR_REPLACE != 0:
		err = errNoAttr
	case there && have == value && isFixed(key):
		return 0 // who copies attributes sets all of them
	default:
		err = t.setAttr(ctx, id, func() (glanceapi.Change, error) { return attrChange(key, value) })
	}
	return t.told("image/"+id, "set "+name+" of image "+id, err)
}

// removexattr takes a field or property away from an image.
func (t *tree) removexattr(ctx context.Context, id, name string) syscall.Errno {
	key, ok := strings.CutPrefix(name, fieldPrefix)
	if !ok {
		return errnoUnsupported
	}
	_, there, err := t.attribute(ctx, id, name)
	switch {
	case err != nil:
	case !there:
		err = errNoAttr
	default:
		err = t.setAttr(ctx, id, func() (glanceapi.Change, error) { return attrRemoval(key) })
	}
	return t.told("image/"+id, "remove "+name+" of image "+id, err)
}

// attribute returns what is known of an attribute of an image.
func (t *tree) attribute(ctx context.Context, id, name string) (value string, there bool, err error) {
	img, err := t.catalog.recall(ctx, id)
	if err != nil {
		return "", false, err
	}
	value, there = t.attributes(img)[name]
	return value, there, nil
}

func (t *tree) setAttr(ctx context.Context, id string, change func() (glanceapi.Change, error)) error {
	ch, err := change()
	if err != nil {
		return err
	}
	return t.alter(ctx, id, func(ctx context.Context) error { return t.update(ctx, id, ch) })
}

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
		if draft := d.t.incoming.filler(d.id); draft != nil && draft.known().Error != "" {
			return answer(draft.known().Error, dest)
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
	return d.t.listxattr(ctx, d.id, dest, more...)
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
