package fs

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"glancefs/glanceapi"
)

const (
	fieldPrefix  = "user.glance."
	heldAttr     = "user.glancefs.cached"
	verifiedAttr = "user.glancefs.verified"
)

// attributes returns the extended attributes of an image: every key of
// meta.json that has a value, and every property by its own key. A property
// that is called like a field is shown by meta.json only.
func attributes(img glanceapi.Image) map[string]string {
	attrs := make(map[string]string)
	for k, v := range img.Properties {
		attrs[fieldPrefix+k] = v
	}
	b, _ := json.Marshal(describe(img))
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(b, &fields) // of our own making
	for k, raw := range fields {
		var s string
		switch {
		case k == "properties" || string(raw) == "null":
			continue
		case k == "tags":
			s = strings.Join(img.Tags, ",")
		case json.Unmarshal(raw, &s) != nil:
			s = string(raw)
		}
		attrs[fieldPrefix+k] = s
	}
	return attrs
}

// answer answers getxattr(2): the size needed, and ERANGE where dest is too short
// for it. A dest of no length asks for the size only.
func answer(value string, dest []byte) (uint32, syscall.Errno) {
	if len(dest) > 0 && len(value) > len(dest) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value) + max(0, len(value)-len(dest))), 0
}

// getxattr returns one attribute of an image from what is known of it.
func (t *tree) getxattr(ctx context.Context, id, name string, dest []byte) (uint32, syscall.Errno) {
	if !strings.HasPrefix(name, fieldPrefix) {
		return 0, t.errno("getxattr", errNoAttr)
	}
	img, err := t.catalog.recall(ctx, id)
	if err != nil {
		return 0, t.errno("getxattr", err)
	}
	value, ok := attributes(img)[name]
	if !ok {
		return 0, t.errno("getxattr", errNoAttr)
	}
	return answer(value, dest)
}

// listxattr returns the names of an image's attributes, and of more.
func (t *tree) listxattr(ctx context.Context, id string, dest []byte, more ...string) (uint32, syscall.Errno) {
	img, err := t.catalog.recall(ctx, id)
	if err != nil {
		return 0, t.errno("listxattr", err)
	}
	names := more
	for name := range attributes(img) {
		// The kernel takes no longer names, and ends each with a NUL.
		if len(name) <= nameMax && !strings.Contains(name, "\x00") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return answerNames(names, dest)
}

// answerNames answers listxattr(2), each name with a NUL behind it.
func answerNames(names []string, dest []byte) (uint32, syscall.Errno) {
	if len(names) == 0 {
		return 0, 0
	}
	return answer(strings.Join(names, "\x00")+"\x00", dest)
}

var (
	_ = (gofs.NodeGetxattrer)((*imageDir)(nil))
	_ = (gofs.NodeListxattrer)((*imageDir)(nil))
	_ = (gofs.NodeGetxattrer)((*imageData)(nil))
	_ = (gofs.NodeListxattrer)((*imageData)(nil))
)

// Getxattr returns a field of the image.
func (d *imageDir) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return d.t.getxattr(ctx, d.id, name, dest)
}

// Listxattr names the fields of the image.
func (d *imageDir) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	return d.t.listxattr(ctx, d.id, dest)
}

// Getxattr returns a field of the image, how much of it this host holds, or
// whether all of that is known to be right.
func (d *imageData) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	switch name {
	case heldAttr:
		img, err := d.current(ctx)
		if err != nil {
			return 0, d.t.errno("getxattr", err)
		}
		return answer(strconv.FormatInt(d.t.store.Held(d.t.blobKey(img)), 10), dest)
	case verifiedAttr:
		return answer(d.verification(), dest)
	case errorAttr:
		draft := d.t.incoming.filler(d.id)
		if draft == nil || draft.known().Error == "" {
			return 0, d.t.errno("getxattr", errNoAttr)
		}
		return answer(draft.known().Error, dest)
	}
	return d.t.getxattr(ctx, d.id, name, dest)
}

// Listxattr names what Getxattr returns.
func (d *imageData) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	return d.t.listxattr(ctx, d.id, dest, heldAttr, verifiedAttr)
}
