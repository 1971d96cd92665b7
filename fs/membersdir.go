package fs

import (
	"context"
	"fmt"
	iofs "io/fs"
	"regexp"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A membersDir is the members directory of an image, where it can be shared.
type membersDir struct {
	dir
	image string
}

// members makes the members directory of an image.
func (t *tree) members(id string) *membersDir {
	return &membersDir{image: id, dir: dir{
		node: node{t: t}, is: identity{"members", id}, refresh: t.refresh, changed: t.changed(id), view: membersView{t, id},
		file: "members/" + id, writable: true,
	}}
}

var (
	_ = (gofs.NodeCreater)((*membersDir)(nil))
	_ = (gofs.NodeMknoder)((*membersDir)(nil))
	_ = (gofs.NodeUnlinker)((*membersDir)(nil))
)

// asides are names that editors and sed give to files beside those they edit,
// which are not meant to be members. The latter two mean that only when they must
// not be there yet.
var (
	asides    = regexp.MustCompile(`^[.#]|~$|\.(sw[a-p]|tmp|bak)$`)
	newAsides = regexp.MustCompile(`^(4913|sed[0-9A-Za-z]{6})$`)
)

// project returns the project that a new file is to stand for.
func project(entry string, flags uint32) (string, error) {
	who, ok := unescapeName(entry)
	switch {
	case !ok:
		return "", fmt.Errorf("%q is not how a project's file is called: %w", entry, iofs.ErrInvalid)
	case asides.MatchString(entry), flags&syscall.O_EXCL != 0 && newAsides.MatchString(entry):
		return "", fmt.Errorf("%q is an editor's file and no project: %w", entry, errReadOnly)
	}
	return who, nil
}

// add shares the image with the project that a new file stands for.
func (d *membersDir) add(ctx context.Context, entry string, flags uint32) (added bool, errno syscall.Errno) {
	who, err := project(entry, flags)
	if err == nil {
		added, err = d.t.addMember(ctx, d.image, who)
	}
	return added, d.t.told(d.file, "add "+entry+" to "+d.file, err)
}

// Create shares the image with another project. If something is written at once
// that is not taken, or not to its end, it is shared with it no more.
func (d *membersDir) Create(ctx context.Context, entry string, flags, _ uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	added, errno := d.add(ctx, entry, flags)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	inode, errno := d.Lookup(ctx, entry, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	f, ok := inode.Operations().(*text)
	if !ok {
		d.t.nodes.unmeet(inode.StableAttr().Ino)
		return nil, nil, 0, d.t.errno("open "+entry, iofs.ErrNotExist)
	}
	r, err := f.revise(ctx, flags)
	if err != nil {
		d.t.nodes.unmeet(inode.StableAttr().Ino)
		return nil, nil, 0, d.t.errno("open "+f.file(), err)
	}
	r.begin(added, func(ctx context.Context, why error) error {
		d.t.edits.reasons.set(d.file, why)
		who, _ := unescapeName(entry)
		return d.t.removeMember(ctx, d.image, who)
	})
	return inode, r, fuse.FOPEN_DIRECT_IO, 0
}

// Mknod shares the image with another project, where a plain file is meant.
func (d *membersDir) Mknod(ctx context.Context, entry string, mode, dev uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if mode&syscall.S_IFMT != syscall.S_IFREG {
		return d.dir.Mknod(ctx, entry, mode, dev, out)
	}
	if _, errno := d.add(ctx, entry, 0); errno != 0 {
		return nil, errno
	}
	return d.Lookup(ctx, entry, out)
}

// Unlink ends the sharing with a project, where that is allowed.
func (d *membersDir) Unlink(ctx context.Context, entry string) syscall.Errno {
	who, ok := unescapeName(entry)
	var err error
	switch {
	case !ok:
		err = iofs.ErrNotExist
	case !d.t.allowDelete:
		err = errNoDelete
	default:
		err = d.t.removeMember(ctx, d.image, who)
	}
	return d.t.told(d.file, "remove "+entry+" from "+d.file, err)
}
