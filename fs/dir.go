package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A view is what one directory shows.
type view interface {
	// list begins to list. Names that lookup resolves may be missing from it.
	list(ctx context.Context) (entries, error)
	// lookup resolves one name, or fails with io/fs.ErrNotExist.
	lookup(ctx context.Context, name string) (child, error)
}

// entries are the entries of one listing, in an order that does not change
// while it is read.
type entries interface {
	// at returns the i-th entry, waiting for it if need be; ok is false at the
	// end.
	at(ctx context.Context, i int) (e fuse.DirEntry, ok bool, err error)
	// ready reports whether at(i) answers at once.
	ready(i int) bool
}

// A dir is a directory that shows a view.
type dir struct {
	node
	view
	is       identity
	refresh  time.Duration    // how long the kernel may rely on it
	changed  func() time.Time // its mtime
	file     string           // names it for those who ask why something in it failed
	writable bool             // its entries can be made, removed or renamed
}

func (d *dir) identity() identity { return d.is }

func (d *dir) life() (entry, attr time.Duration) { return d.refresh, d.refresh }

func (d *dir) stat(_ context.Context, a *fuse.Attr) error {
	mode := uint32(syscall.S_IFDIR | 0o555)
	if d.writable {
		mode |= 0o200
	}
	d.t.own(a, mode, d.changed())
	a.Nlink = 2
	return nil
}

var (
	_ = (gofs.NodeGetattrer)((*dir)(nil))
	_ = (gofs.NodeLookuper)((*dir)(nil))
	_ = (gofs.NodeOpendirHandler)((*dir)(nil))
	_ = (gofs.NodeUnlinker)((*dir)(nil))
	_ = (gofs.NodeRmdirer)((*dir)(nil))
	_ = (gofs.NodeMkdirer)((*dir)(nil))
	_ = (gofs.NodeCreater)((*dir)(nil))
	_ = (gofs.NodeMknoder)((*dir)(nil))
	_ = (gofs.NodeLinker)((*dir)(nil))
	_ = (gofs.NodeSymlinker)((*dir)(nil))
	_ = (gofs.NodeRenamer)((*dir)(nil))
	_ = (gofs.NodeGetxattrer)((*dir)(nil))
	_ = (gofs.NodeListxattrer)((*dir)(nil))
)

// Getattr answers stat.
func (d *dir) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return d.t.getattr(ctx, d, out)
}

func (t *tree) getattr(ctx context.Context, c child, out *fuse.AttrOut) syscall.Errno {
	if err := c.stat(ctx, &out.Attr); err != nil {
		return t.errno("stat", err)
	}
	_, attr := c.life()
	out.SetTimeout(attr)
	return 0
}

// Lookup resolves a name. The kernel takes longer ones than file systems do, and looks
// up what is to be made or renamed to before it asks for that, so this refuses it all.
func (d *dir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if len(name) > nameMax && d.is != queryIdentity {
		return nil, d.t.errno("look up "+name, errNameTooLong)
	}
	c, err := d.lookup(ctx, name)
	if err == nil {
		err = c.stat(ctx, &out.Attr)
	}
	if err != nil {
		return nil, d.t.errno("look up "+name, err)
	}
	entry, attr := c.life()
	out.SetEntryTimeout(entry)
	out.SetAttrTimeout(attr)
	d.t.nodes.meet(c.identity())
	return d.NewInode(ctx, c, c.identity().stable()), 0
}

// OpendirHandle begins a listing.
func (d *dir) OpendirHandle(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return &dirHandle{dir: d}, 0, 0
}

// Unlink refuses; without it go-fuse would pretend to have done it.
func (d *dir) Unlink(context.Context, string) syscall.Errno {
	return d.t.errno("unlink", errReadOnly)
}

// Rmdir refuses as Unlink does.
func (d *dir) Rmdir(context.Context, string) syscall.Errno {
	return d.t.errno("rmdir", errReadOnly)
}

// Mkdir, and the others below, refuse in the same words as Unlink, where go-fuse
// would answer as if the file system could not do it.
func (d *dir) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, d.t.errno("mkdir", errReadOnly)
}

// Create refuses.
func (d *dir) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, d.t.errno("create", errReadOnly)
}

// Mknod refuses.
func (d *dir) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, d.t.errno("mknod", errReadOnly)
}

// Link refuses.
func (d *dir) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, d.t.errno("link", errReadOnly)
}

// Symlink refuses.
func (d *dir) Symlink(context.Context, string, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, d.t.errno("symlink", errReadOnly)
}

// Rename refuses.
func (d *dir) Rename(context.Context, string, gofs.InodeEmbedder, string, uint32) syscall.Errno {
	return d.t.errno("rename", errReadOnly)
}

// Getxattr tells why something in the directory failed, where that is kept.
func (d *dir) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	return d.t.getReason(d.file, name, dest)
}

// Listxattr names what Getxattr returns.
func (d *dir) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return d.t.listReason(d.file, dest)
}

// A dirHandle is one reader's way through a directory. go-fuse calls it from
// one READDIR at a time.
type dirHandle struct {
	dir     *dir
	entries entries
	next    int
	given   bool // an entry, since READDIR was last answered
}

var (
	_ = (gofs.FileReaddirenter)((*dirHandle)(nil))
	_ = (gofs.FileSeekdirer)((*dirHandle)(nil))
)

// Readdirent returns the next entry, or nil to have what was given so far
// handed to the reader: at the end, and also where more is yet to come from
// the service, so that the first names show before the last page is there.
func (h *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if h.entries == nil {
		e, err := h.dir.list(ctx)
		if err != nil {
			return nil, h.dir.t.errno("list "+h.dir.is.path(), err)
		}
		h.entries = e
	}
	if h.given && !h.entries.ready(h.next) {
		h.given = false
		return nil, 0
	}
	e, ok, err := h.entries.at(ctx, h.next)
	if err != nil {
		return nil, h.dir.t.errno("list "+h.dir.is.path(), err)
	}
	h.given = ok
	if !ok {
		return nil, 0
	}
	h.next++
	e.Off = uint64(h.next)
	return &e, 0
}

// Seekdir goes on behind the entry whose Off is off; going back to the start
// begins a new listing.
func (h *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		h.entries = nil
	}
	h.next, h.given = int(off), false
	return 0
}

// array is a listing that is all there.
type array []fuse.DirEntry

func (a array) at(_ context.Context, i int) (fuse.DirEntry, bool, error) {
	if i >= len(a) {
		return fuse.DirEntry{}, false, nil
	}
	return a[i], true, nil
}

func (a array) ready(int) bool { return true }
