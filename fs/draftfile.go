package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A draftFile is a draft as a file in incoming/.
type draftFile struct {
	node
	*draft
}

// life is nothing: an upload may put an image in the draft's place at any time.
func (f *draftFile) life() (entry, attr time.Duration) { return 0, 0 }

func (f *draftFile) stat(_ context.Context, a *fuse.Attr) error {
	return f.t.statDraft(a, f.draft, nil)
}

// statDraft fills in the attributes of a draft, whose bytes file is if it is not
// nil.
func (t *tree) statDraft(a *fuse.Attr, d *draft, file *os.File) (err error) {
	info := d.fixedAs()
	switch {
	case info != nil: // the file may be the cache's by now
	case file != nil:
		info, err = file.Stat()
	default:
		info, err = os.Stat(d.path())
	}
	if errors.Is(err, iofs.ErrNotExist) && !d.isRemoved() {
		// It has become the cache's just now. Or somebody has taken it from the disk:
		// then it is seen, to be removed.
		if info = d.fixedAs(); info == nil {
			t.own(a, syscall.S_IFREG|0o644, time.Now())
			sized(a, 0, 0)
			return nil
		}
		err = nil
	}
	if err != nil {
		return err
	}
	t.own(a, syscall.S_IFREG|0o644, info.ModTime())
	st := info.Sys().(*syscall.Stat_t)
	sized(a, st.Size, st.Blocks*512)
	a.Nlink = uint32(st.Nlink)
	if d.isRemoved() {
		a.Nlink = 0
	}
	return nil
}

var (
	_ = (gofs.NodeGetattrer)((*draftFile)(nil))
	_ = (gofs.NodeSetattrer)((*draftFile)(nil))
	_ = (gofs.NodeOpener)((*draftFile)(nil))
	_ = (gofs.NodeFsyncer)((*draftFile)(nil))
)

// Getattr answers stat, also of a draft that is no more, for who has it open.
func (f *draftFile) Getattr(ctx context.Context, h gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if o, ok := h.(*opening); ok {
		return o.Getattr(ctx, out)
	}
	return f.t.getattr(ctx, f, out)
}

// Setattr changes length and times. Modes and owners are taken and forgotten:
// programs set them on what they have copied, and an image has none.
func (f *draftFile) Setattr(ctx context.Context, h gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if o, ok := h.(*opening); ok {
		return o.Setattr(ctx, in, out)
	}
	return f.t.incoming.setattr(ctx, f.draft, in, out)
}

// Open opens the draft.
func (f *draftFile) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return f.t.incoming.open(ctx, f.draft, flags)
}

// Fsync makes the draft survive a loss of power.
func (f *draftFile) Fsync(ctx context.Context, h gofs.FileHandle, flags uint32) syscall.Errno {
	if o, ok := h.(*opening); ok {
		return o.Fsync(ctx, flags)
	}
	return 0
}
