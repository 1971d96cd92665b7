package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

const (
	fieldPrefix    = "user.glance."             // before a key of meta.json, or a property's
	heldAttr       = "user.glancefs.cached"     // how many bytes of the data this host holds
	verifiedAttr   = "user.glancefs.verified"   // whether they are known to be right: yes, no or unknown
	unverifiedAttr = "user.glancefs.unverified" // why the last check of the whole image came to nothing
	errorAttr      = "user.glancefs.error"      // why a draft is no image, or the last change came to nothing
)

// answer answers getxattr(2): the size needed, and ERANGE where dest is too short
// for it. A dest of no length asks for the size only.
func answer(value string, dest []byte) (uint32, syscall.Errno) {
	if len(dest) > 0 && len(value) > len(dest) {
		return uint32(len(value)), errnoRange
	}
	return uint32(copy(dest, value) + max(0, len(value)-len(dest))), 0
}

// getxattr returns one attribute of an image from what is known of it.
func (t *tree) getxattr(ctx context.Context, id, name string, dest []byte) (uint32, syscall.Errno) {
	switch {
	case name == errorAttr:
		return t.getReason("image/"+id, name, dest)
	case !strings.HasPrefix(name, fieldPrefix):
		return 0, t.errno("getxattr", errNoAttr)
	}
	value, ok, err := t.attribute(ctx, id, name)
	if err == nil && !ok {
		err = errNoAttr
	}
	if err != nil {
		return 0, t.errno("getxattr", err)
	}
	return answer(value, dest)
}

// listxattr returns the names of an image's attributes, and of more.
func (t *tree) listxattr(ctx context.Context, id string, dest []byte, more ...string) (uint32, syscall.Errno) {
	img, err := t.catalog.Recall(ctx, id)
	if err != nil {
		return 0, t.errno("listxattr", err)
	}
	names := more
	if t.edits.reasons.get("image/"+id) != "" && !slices.Contains(names, errorAttr) {
		names = append(names, errorAttr)
	}
	for key := range t.describe(img).Fields() {
		name := fieldPrefix + key
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
	case there && have == value && metadata.IsFixed(key):
		return 0 // who copies attributes sets all of them
	default:
		err = t.setAttr(ctx, id, func() (glanceapi.Change, error) { return metadata.AttrChange(key, value) })
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
		err = t.setAttr(ctx, id, func() (glanceapi.Change, error) { return metadata.AttrRemoval(key) })
	}
	return t.told("image/"+id, "remove "+name+" of image "+id, err)
}

// attribute returns what is known of an attribute of an image, which is a field of it.
func (t *tree) attribute(ctx context.Context, id, name string) (value string, there bool, err error) {
	img, err := t.catalog.Recall(ctx, id)
	if err != nil {
		return "", false, err
	}
	value, there = t.describe(img).Fields()[strings.TrimPrefix(name, fieldPrefix)]
	return value, there, nil
}

func (t *tree) setAttr(ctx context.Context, id string, change func() (glanceapi.Change, error)) error {
	ch, err := change()
	if err != nil {
		return err
	}
	return t.alter(ctx, id, func(ctx context.Context) error { return t.update(ctx, id, ch) })
}
