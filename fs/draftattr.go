package fs

import (
	"context"
	iofs "io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"

	"glancefs/fs/diskformat"
	"glancefs/fs/metadata"
)

var (
	_ = (gofs.NodeGetxattrer)((*draftFile)(nil))
	_ = (gofs.NodeListxattrer)((*draftFile)(nil))
	_ = (gofs.NodeSetxattrer)((*draftFile)(nil))
	_ = (gofs.NodeRemovexattrer)((*draftFile)(nil))
)

// attrs returns the extended attributes of a draft: what was set, what its bytes
// say of themselves, and why it is no image, if that was tried.
func (d *draft) attrs() map[string]string {
	a := d.known()
	all := make(map[string]string)
	if f, err := os.Open(d.path()); err == nil {
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Size() > 0 {
			if found, err := diskformat.Sniff(f, info.Size()); err == nil {
				all[fieldPrefix+"disk_format"] = found.Disk
				all[fieldPrefix+"virtual_size"] = strconv.FormatInt(found.Virtual, 10)
			}
		}
	}
	for key, value := range a.Attrs {
		all[fieldPrefix+key] = value
	}
	if a.Error != "" {
		all[errorAttr] = a.Error
	}
	return all
}

// Getxattr returns one attribute.
func (f *draftFile) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if !strings.HasPrefix(name, "user.") { // asked for at each write
		return 0, f.t.errno("getxattr", errNoAttr)
	}
	value, ok := f.attrs()[name]
	if !ok {
		return 0, f.t.errno("getxattr", errNoAttr)
	}
	return answer(value, dest)
}

// Listxattr names the attributes.
func (f *draftFile) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return answerNames(slices.Sorted(maps.Keys(f.attrs())), dest)
}

// Setxattr sets a field of the image to be.
func (f *draftFile) Setxattr(ctx context.Context, name string, value []byte, flags uint32) syscall.Errno {
	key, ok := strings.CutPrefix(name, fieldPrefix)
	if !ok {
		return f.node.Setxattr(ctx, name, value, flags)
	}
	return f.t.errno("setxattr", f.setAttr(key, string(value), flags))
}

// Removexattr takes back what Setxattr has set. What the bytes say stays, which is
// no failure: rsync -X removes whatever the file that it copies does not have.
func (f *draftFile) Removexattr(ctx context.Context, name string) syscall.Errno {
	key, ok := strings.CutPrefix(name, fieldPrefix)
	if !ok {
		return f.node.Removexattr(ctx, name)
	}
	if _, ok := f.known().Attrs[key]; !ok {
		if _, found := f.attrs()[name]; found {
			return 0
		}
		return f.t.errno("removexattr", errNoAttr)
	}
	return f.t.errno("removexattr", f.changeAttrs(func(m map[string]string) { delete(m, key) }))
}

func (d *draft) setAttr(key, value string, flags uint32) error {
	w := new(metadata.Wish)
	if err := w.SetAttr(key, value); err != nil {
		return err
	}
	if err := w.Check(); err != nil {
		return err
	}
	_, there := d.known().Attrs[key]
	switch {
	case there && flags&unix.XATTR_CREATE != 0:
		return iofs.ErrExist
	case !there && flags&unix.XATTR_REPLACE != 0:
		return errNoAttr
	}
	return d.changeAttrs(func(m map[string]string) { m[key] = value })
}

func (d *draft) changeAttrs(change func(map[string]string)) error {
	d.mu.Lock()
	err := d.changeable()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return d.tell(func(a *about) {
		attrs := maps.Clone(a.Attrs)
		if attrs == nil {
			attrs = make(map[string]string)
		}
		change(attrs)
		a.Attrs, a.Tried = attrs, ""
	})
}
