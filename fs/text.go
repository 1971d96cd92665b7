package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A text is a small file whose content is made when it is opened.
type text struct {
	node
	kind, of string // what it is, and of what: its identity
	// render makes the content, asking the service where it must.
	render func(ctx context.Context) ([]byte, error)
	// size tells the content's length from what is known; 0 where that is
	// nothing. Readers do not depend on it.
	size func() int
	// changed is the mtime.
	changed func() time.Time
}

func (f *text) stable() gofs.StableAttr {
	return gofs.StableAttr{Mode: syscall.S_IFREG, Ino: nodeID(f.kind, f.of)}
}

// life is short for attributes, because the size is one of them.
func (f *text) life() (entry, attr time.Duration) { return f.t.catalog.refresh, 0 }

func (f *text) stat(_ context.Context, a *fuse.Attr) error {
	f.t.own(a, syscall.S_IFREG|0o444, f.changed())
	n := int64(f.size())
	sized(a, n, n)
	return nil
}

var (
	_ = (gofs.NodeGetattrer)((*text)(nil))
	_ = (gofs.NodeOpener)((*text)(nil))
	_ = (gofs.NodeReader)((*text)(nil))
)

// Getattr answers stat.
func (f *text) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return f.t.getattr(ctx, f, out)
}

// page is the content of one open text.
type page []byte

// Open makes the content, so that one reader sees one state. The kernel is not
// to cache it, which also lets reads pass the size that stat told.
func (f *text) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, f.t.errno("open "+f.kind, errReadOnly)
	}
	p, err := f.render(ctx)
	if err != nil {
		return nil, 0, f.t.errno("read "+f.kind+" "+f.of, err)
	}
	return page(p), fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
}

// Read returns part of what Open made.
func (f *text) Read(_ context.Context, h gofs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	p, ok := h.(page)
	if !ok || off >= int64(len(p)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(p[off:min(int64(len(p)), off+int64(len(dest)))]), 0
}
