package fs

import (
	"context"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A scratchFile is one of an editor's files in an image's directory.
type scratchFile struct {
	node
	*scratch
}

// life is nothing: the name may be that of what was edited a moment later.
func (f *scratchFile) life() (entry, attr time.Duration) { return 0, 0 }

func (f *scratchFile) stat(_ context.Context, a *fuse.Attr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.t.own(a, syscall.S_IFREG|0o644, f.touched)
	sized(a, int64(len(f.text)), int64(len(f.text)))
	return nil
}

var (
	_ = (gofs.NodeGetattrer)((*scratchFile)(nil))
	_ = (gofs.NodeSetattrer)((*scratchFile)(nil))
	_ = (gofs.NodeOpener)((*scratchFile)(nil))
	_ = (gofs.NodeReader)((*scratchFile)(nil))
	_ = (gofs.NodeWriter)((*scratchFile)(nil))
	_ = (gofs.NodeReleaser)((*scratchFile)(nil))
)

// Getattr answers stat.
func (f *scratchFile) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return f.t.getattr(ctx, f, out)
}

// Setattr changes the length. What else editors set is taken and forgotten.
func (f *scratchFile) Setattr(ctx context.Context, _ gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		err := f.change(ctx, func() (err error) {
			f.text, err = resize(f.text, size)
			return err
		})
		if err != nil {
			return f.t.errno("truncate", err)
		}
	}
	return f.t.getattr(ctx, f, out)
}

// change runs do, which changes the text.
func (f *scratchFile) change(ctx context.Context, do func() error) error {
	by := who(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writer, f.touched = by, time.Now()
	return do()
}

// A scratchHandle is one opening of a scratchFile.
type scratchHandle struct{ end bool } // what is written goes to the end

// Open opens the file. The kernel is to keep nothing of it.
func (f *scratchFile) Open(_ context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens++
	f.touched = time.Now()
	return &scratchHandle{flags&syscall.O_APPEND != 0}, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
}

// Read reads the file.
func (f *scratchFile) Read(_ context.Context, _ gofs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	text, _ := f.content()
	return part(text, len(dest), off), 0
}

// Write writes to the file.
func (f *scratchFile) Write(ctx context.Context, h gofs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	o, _ := h.(*scratchHandle)
	err := f.change(ctx, func() (err error) {
		f.text, err = overwrite(f.text, data, off, o != nil && o.end)
		return err
	})
	if err != nil {
		return 0, f.t.errno("write", err)
	}
	return uint32(len(data)), 0
}

// Release ends an opening.
func (f *scratchFile) Release(context.Context, gofs.FileHandle) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens--
	f.touched = time.Now()
	return 0
}
