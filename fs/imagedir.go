package fs

import (
	"context"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// imageView shows what there is of one image, and what editors have put there.
type imageView struct {
	t  *tree
	id string
}

func (v imageView) fixed() fixed {
	return fixed{
		{"data", func() child { return &imageData{node: node{t: v.t}, id: v.id} }},
		{"meta.json", func() child { return v.t.meta(v.id) }},
		{"members", func() child { return v.t.members(v.id) }},
		{"members.json", func() child { return v.t.memberFile(v.id) }},
	}
}

func (v imageView) list(ctx context.Context) (entries, error) {
	e, err := v.fixed().list(ctx)
	if err != nil {
		return nil, err
	}
	a := e.(array)
	for name, s := range v.t.edits.scratch.list(v.id) {
		a = append(a, s.identity().entry(name))
	}
	slices.SortStableFunc(a[4:], func(x, y fuse.DirEntry) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}

func (v imageView) lookup(ctx context.Context, name string) (child, error) {
	if s := v.t.edits.scratch.find(v.id, name); s != nil {
		return &scratchFile{node: node{t: v.t}, scratch: s}, nil
	}
	return v.fixed().lookup(ctx, name)
}

// An imageDir is the directory of one image, which bears its fields as
// extended attributes. Editors may make files in it, see scratchpad.
type imageDir struct {
	dir
	id string
}

// image makes the directory of one image.
func (t *tree) image(id string) *imageDir {
	return &imageDir{id: id, dir: dir{
		node: node{t: t}, is: identity{"image", id}, refresh: t.refresh, changed: t.changed(id), view: imageView{t, id},
		writable: true,
	}}
}

var (
	_ = (gofs.NodeCreater)((*imageDir)(nil))
	_ = (gofs.NodeUnlinker)((*imageDir)(nil))
	_ = (gofs.NodeRenamer)((*imageDir)(nil))
)

// has reports whether a name is that of what there is of every image.
func (d *imageDir) has(name string) bool {
	return slices.Contains([]string{"data", "meta.json", "members", "members.json"}, name)
}

// text returns what can be edited under a name, or nil.
func (d *imageDir) text(name string) *text {
	switch name {
	case "meta.json":
		return d.t.meta(d.id)
	case "members.json":
		return d.t.memberFile(d.id)
	}
	return nil
}

// Create makes an editor's file.
func (d *imageDir) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	err := error(iofs.ErrExist)
	if !d.has(name) && d.t.edits.scratch.find(d.id, name) == nil {
		err = d.t.edits.scratch.add(d.id, name, who(ctx), nil)
	}
	if err != nil {
		return nil, nil, 0, d.t.errno("create "+name, err)
	}
	inode, errno := d.Lookup(ctx, name, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	f, ok := inode.Operations().(*scratchFile)
	if !ok {
		d.t.nodes.unmeet(inode.StableAttr().Ino)
		return nil, nil, 0, d.t.errno("create "+name, iofs.ErrNotExist)
	}
	h, open, errno := f.Open(ctx, flags)
	return inode, h, open, errno
}

// Unlink removes an editor's file, and nothing else.
func (d *imageDir) Unlink(ctx context.Context, name string) syscall.Errno {
	s := d.t.edits.scratch.find(d.id, name)
	if s == nil {
		return d.dir.Unlink(ctx, name)
	}
	d.t.edits.scratch.remove(d.id, name, s)
	return 0
}

// Rename gives an editor's file another name. If that is the name of what is
// edited it is written so, and the file is gone; if it is not taken it stays.
// What is edited may be renamed, too, as some editors do with what they are
// about to write: that makes a copy.
func (d *imageDir) Rename(ctx context.Context, old string, parent gofs.InodeEmbedder, name string, flags uint32) syscall.Errno {
	if to, ok := parent.(*imageDir); !ok || to.id != d.id {
		return d.dir.Rename(ctx, old, parent, name, flags)
	}
	pad := &d.t.edits.scratch
	s, edited := pad.find(d.id, old), d.text(name)
	err := d.renamable(name, flags)
	switch {
	case err != nil:
	case s == nil:
		err = d.copyAs(ctx, old, name)
	case edited != nil:
		text, by := s.content()
		if errno := d.t.told(edited.file(), "write "+edited.file(), edited.put(ctx, by, text)); errno != 0 {
			return errno
		}
		pad.remove(d.id, old, s)
	default:
		err = pad.rename(d.id, old, name, s)
	}
	return d.t.errno("rename "+old, err)
}

// renamable tells why nothing can be called name, if that is so.
func (d *imageDir) renamable(name string, flags uint32) error {
	switch {
	case flags&^unix.RENAME_NOREPLACE != 0:
		return iofs.ErrInvalid
	case flags != 0 && (d.has(name) || d.t.edits.scratch.find(d.id, name) != nil):
		return iofs.ErrExist
	case d.has(name) && d.text(name) == nil:
		return errReadOnly
	}
	return nil
}

// copyAs makes an editor's file of what is edited.
func (d *imageDir) copyAs(ctx context.Context, old, name string) error {
	edited := d.text(old)
	if edited == nil || d.has(name) {
		return errReadOnly
	}
	text, err := edited.render(ctx)
	if err != nil {
		return err
	}
	return d.t.edits.scratch.add(d.id, name, who(ctx), text)
}
