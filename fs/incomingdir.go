package fs

import (
	"context"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// incomingView shows drafts, and links to what they have become.
type incomingView struct{ *incoming }

func (v incomingView) list(context.Context) (entries, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var a array
	for name, d := range v.named {
		a = append(a, d.identity().entry(name))
	}
	for name, l := range v.links {
		a = append(a, v.t.madeLink(l).identity().entry(name))
	}
	slices.SortFunc(a, func(x, y fuse.DirEntry) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}

func (v incomingView) lookup(ctx context.Context, name string) (child, error) {
	d, l, ok := v.find(name)
	if d == nil && ok {
		d = v.stillOf(ctx, name)
	}
	switch {
	case !ok:
		return nil, iofs.ErrNotExist
	case d != nil:
		return &draftFile{node: node{t: v.t}, draft: d}, nil
	}
	return v.t.madeLink(l), nil
}

// A madeLink is a link in incoming/ to an image that was made there. Programs
// that set times on what they have copied may.
type madeLink struct{ link }

func (t *tree) madeLink(l linked) *madeLink {
	return &madeLink{link{node: node{t: t}, kind: "incoming", id: l.image, path: l.path}}
}

// Setattr takes what is set and forgets it.
func (l *madeLink) Setattr(ctx context.Context, _ gofs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return l.t.getattr(ctx, l, out)
}

var incomingIdentity = identity{"top", "incoming"}

// incomingDir is incoming/, where files are made.
type incomingDir struct {
	dir
	in *incoming
}

func (t *tree) incomingDir() *incomingDir {
	changed := func() time.Time {
		t.incoming.mu.Lock()
		defer t.incoming.mu.Unlock()
		return t.incoming.changed
	}
	return &incomingDir{
		dir: dir{node: node{t: t}, is: incomingIdentity, changed: changed, view: incomingView{t.incoming}, writable: true, file: "incoming"},
		in:  t.incoming,
	}
}

var (
	_ = (gofs.NodeSetattrer)((*incomingDir)(nil))
	_ = (gofs.NodeFsyncer)((*incomingDir)(nil))
	_ = (gofs.NodeCreater)((*incomingDir)(nil))
	_ = (gofs.NodeMknoder)((*incomingDir)(nil))
	_ = (gofs.NodeMkdirer)((*incomingDir)(nil))
	_ = (gofs.NodeUnlinker)((*incomingDir)(nil))
	_ = (gofs.NodeRenamer)((*incomingDir)(nil))
)

// Setattr takes what is set and forgets it, for programs that copy directories.
func (d *incomingDir) Setattr(ctx context.Context, _ gofs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.t.getattr(ctx, d, out)
}

// Fsync makes the names of drafts survive a loss of power.
func (d *incomingDir) Fsync(context.Context, gofs.FileHandle, uint32) syscall.Errno {
	return d.t.errno("sync of incoming", d.in.sync())
}

// Lookup resolves a name, by which a process may come back to what it has made an image of.
func (d *incomingDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	inode, errno := d.dir.Lookup(ctx, name, out)
	if errno != 0 {
		return nil, errno
	}
	if f, ok := inode.Operations().(*draftFile); ok {
		d.in.lookedUp(f.draft)
	}
	return inode, 0
}

// Create makes a draft and opens it.
func (d *incomingDir) Create(ctx context.Context, name string, flags, _ uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	draft, file, err := d.in.create(name)
	if err != nil {
		return nil, nil, 0, d.t.errno("create draft "+name, err)
	}
	inode, errno := d.Lookup(ctx, name, out)
	if errno != 0 {
		file.Close()
		return nil, nil, 0, errno
	}
	h, open, errno := d.in.opened(ctx, draft, file, flags)
	if errno != 0 {
		d.t.nodes.unmeet(inode.StableAttr().Ino)
	}
	return inode, h, open, errno
}

// Mknod makes a draft, where a plain file is meant.
func (d *incomingDir) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if mode&syscall.S_IFMT != syscall.S_IFREG {
		return d.dir.Mknod(ctx, name, mode, dev, out)
	}
	_, file, err := d.in.create(name)
	if err != nil {
		return nil, d.t.errno("create draft "+name, err)
	}
	file.Close()
	return d.Lookup(ctx, name, out)
}

// Mkdir makes an image without data. What it shows is a directory only to the
// kernel, which wants one; the next lookup finds the link to the image. If it is
// refused there is no draft to tell why, so incoming/ does.
func (d *incomingDir) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	img, err := d.in.mkdir(ctx, name)
	if errno := d.t.told(d.file, "make image "+name, err); errno != 0 {
		return nil, errno
	}
	made := d.t.madeDir(img.ID)
	if err := made.stat(ctx, &out.Attr); err != nil {
		return nil, d.t.errno("make image "+name, err)
	}
	d.t.nodes.meet(made.identity())
	return d.NewInode(ctx, made, made.identity().stable()), 0
}

// madeDir makes what Mkdir shows.
func (t *tree) madeDir(image string) *dir {
	return &dir{node: node{t: t}, is: identity{"made", image}, changed: t.changed(image), view: fixed{}}
}

// Unlink discards a draft, or takes a link away.
func (d *incomingDir) Unlink(_ context.Context, name string) syscall.Errno {
	return d.t.errno("unlink "+name, d.in.remove(name))
}

// Rename gives a draft another name, by which it may become an image.
func (d *incomingDir) Rename(ctx context.Context, old string, parent gofs.InodeEmbedder, name string, flags uint32) syscall.Errno {
	if _, ok := parent.(*incomingDir); !ok {
		return d.dir.Rename(ctx, old, parent, name, flags)
	}
	return d.t.errno("rename draft "+old, d.in.rename(ctx, old, name, flags))
}
