package fs

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A text is a small file whose content is made when it is opened, and which may
// be written.
type text struct {
	node
	kind, of string // what it is, and of what: its identity
	// render makes the content, asking the service where it must.
	render func(ctx context.Context) ([]byte, error)
	// size tells the content's length from what is known. Where that is nothing it is
	// wrong, but never 0: many readers look further than the length they are told, but
	// GNU tar does not read a file that it takes for empty.
	size func() int
	// update, if it is not nil, has the service asked for what size goes by, if it
	// answers soon. That is for who asks for the length: a listing must not cost a
	// request for each text in it.
	update func(ctx context.Context)
	// changed is the mtime.
	changed func() time.Time
	// put makes what the text tells of what a process has written; nil for a text
	// that cannot be written.
	put func(ctx context.Context, by process, text []byte) error
	// read, if it is not nil, is told of who reads what.
	read func(by process, text []byte)

	mu        sync.Mutex
	opened    int         // length of what was made last to be read
	revisions []*revision // those that are open
	cut       time.Time   // when it was made empty for a writer that is yet to come
}

// file names the text for those who ask about it.
func (f *text) file() string { return f.kind + "/" + f.of }

func (f *text) identity() identity { return identity{f.kind, f.of} }

// life is short for attributes, because the size is one of them. A text that can
// be written may have been put in another's place by renaming.
func (f *text) life() (entry, attr time.Duration) {
	if f.put != nil {
		return 0, 0
	}
	return f.t.refresh, 0
}

func (f *text) stat(_ context.Context, a *fuse.Attr) error {
	mode := uint32(syscall.S_IFREG | 0o444)
	if f.put != nil {
		mode |= 0o200
	}
	f.t.own(a, mode, f.changed())
	n := int64(f.size())
	sized(a, n, n)
	return nil
}

var (
	_ = (gofs.NodeGetattrer)((*text)(nil))
	_ = (gofs.NodeOpener)((*text)(nil))
	_ = (gofs.NodeReader)((*text)(nil))
	_ = (gofs.NodeLseeker)((*text)(nil))
	_ = (gofs.NodeSetattrer)((*text)(nil))
	_ = (gofs.NodeGetxattrer)((*text)(nil))
	_ = (gofs.NodeListxattrer)((*text)(nil))
)

// Getattr answers stat. A text that nobody writes is another at each look: who has
// opened it and asks for its length is told that of what was made for it, since
// sendfile(2) reads no further, and others pad what is shorter. The kernel does not say
// who asks.
func (f *text) Getattr(ctx context.Context, h gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if r, ok := h.(*revision); ok {
		return r.Getattr(ctx, out)
	}
	if f.update != nil {
		f.update(ctx)
	}
	errno := f.t.getattr(ctx, f, out)
	if _, open := h.(page); open && f.put == nil && errno == 0 {
		f.mu.Lock()
		n := int64(f.opened)
		f.mu.Unlock()
		sized(&out.Attr, n, n)
	}
	return errno
}

// Setattr cuts the text for its writer, or changes the length of what is written.
// What else programs set on what they copy is taken and forgotten.
func (f *text) Setattr(ctx context.Context, h gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, sized := in.GetSize()
	r, ok := h.(*revision)
	switch {
	case ok:
		return r.Setattr(ctx, in, out)
	case f.put == nil:
		return f.node.Setattr(ctx, h, in, out)
	case sized && size != 0:
		return f.t.errno("truncate "+f.kind, errReadOnly)
	case sized:
		f.truncate(who(ctx))
	}
	return f.t.getattr(ctx, f, out)
}

// Getxattr tells why the text could not be written, or a field of the image that it
// is about.
func (f *text) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if f.isMeta() && (strings.HasPrefix(name, fieldPrefix) || f.t.edits.reasons.get(f.file()) == "") {
		return f.t.getxattr(ctx, f.of, name, dest)
	}
	return f.t.getReason(f.file(), name, dest)
}

// isMeta reports whether f is about an image, so that it has the image's attributes.
// It does not list them: they are what it says, and who copies it need not copy both.
func (f *text) isMeta() bool { return f.kind == "meta.json" }

// Setxattr changes a field of the image that f is about.
func (f *text) Setxattr(ctx context.Context, name string, value []byte, flags uint32) syscall.Errno {
	if !f.isMeta() {
		return f.node.Setxattr(ctx, name, value, flags)
	}
	return f.t.setxattr(ctx, f.of, name, string(value), flags)
}

// Removexattr takes a field away.
func (f *text) Removexattr(ctx context.Context, name string) syscall.Errno {
	if !f.isMeta() {
		return f.node.Removexattr(ctx, name)
	}
	return f.t.removexattr(ctx, f.of, name)
}

// Listxattr names what Getxattr returns.
func (f *text) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return f.t.listReason(f.file(), dest)
}

// page is the content of one open text.
type page struct {
	text  []byte
	again bool // it was opened in the process before, and may have been another
}

// Open makes the content, so that one reader sees one state. The kernel is not
// to cache it, which also lets reads pass the size that stat told.
func (f *text) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	again := flags&openAgain != 0
	if again && flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, f.t.errno("open "+f.file(), errLost) // with what was written
	}
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		r, err := f.revise(ctx, flags)
		if err != nil {
			return nil, 0, f.t.errno("open "+f.file(), err)
		}
		return r, fuse.FOPEN_DIRECT_IO, 0
	}
	p, err := f.render(ctx)
	if err != nil {
		return nil, 0, f.t.errno("read "+f.file(), err)
	}
	if f.read != nil {
		f.read(who(ctx), p)
	}
	f.mu.Lock()
	f.opened = len(p)
	f.mu.Unlock()
	return page{p, again}, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
}

// Read returns part of what Open made.
func (f *text) Read(ctx context.Context, h gofs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if r, ok := h.(*revision); ok {
		return r.Read(ctx, dest, off)
	}
	p, _ := h.(page)
	if p.again && off > 0 && off < int64(len(p.text)) {
		return nil, f.t.errno("read "+f.file(), errLost) // half of this, half of that
	}
	return part(p.text, len(dest), off), 0
}

// Lseek finds no hole before the end of what Open made. By the length that stat tells,
// which may be another by now, there could be one, and grep takes what has a hole for
// binary.
func (f *text) Lseek(_ context.Context, h gofs.FileHandle, off uint64, whence uint32) (uint64, syscall.Errno) {
	var size int
	switch o := h.(type) {
	case *revision:
		size = o.size()
	case page:
		size = len(o.text)
	}
	at, err := seekWhole(off, uint64(size), whence)
	return at, f.t.errno("seek in "+f.file(), err)
}

// seekWhole is lseek(2) for data or a hole in a file that has no holes.
func seekWhole(off, size uint64, whence uint32) (uint64, error) {
	switch {
	case off >= size:
		return 0, errBeyond
	case whence == unix.SEEK_HOLE:
		return size, nil
	}
	return off, nil
}
