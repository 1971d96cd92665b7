package fs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A revision is one opening of a text for writing: a copy, which takes the place
// of the text when it is finished. Everybody else sees the text as it is.
type revision struct {
	f   *text
	by  process // who opened it
	end bool    // what is written goes to the end

	mu      sync.Mutex
	copy    []byte
	wrote   bool                                       // since it was last put
	written bool                                       // at all
	cleared bool                                       // it began with nothing
	dropped bool                                       // its writer has come to grief
	undo    func(ctx context.Context, why error) error // what making the text did, if that is not taken
}

// begin makes the copy that of a text which the opening made, if it did, and
// which goes by undo.
func (r *revision) begin(made bool, undo func(ctx context.Context, why error) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copy = nil
	if made {
		r.undo = undo
	}
}

// revise opens a text for writing. The copy is the text as it is until it is
// written, or cut.
func (f *text) revise(ctx context.Context, flags uint32) (*revision, error) {
	if f.put == nil {
		return nil, errReadOnly
	}
	p, err := f.render(ctx)
	if err != nil {
		return nil, err
	}
	r := &revision{f: f, by: who(ctx), end: flags&syscall.O_APPEND != 0, copy: slices.Clone(p)}
	reads := flags&syscall.O_ACCMODE == syscall.O_RDWR
	if reads && f.read != nil {
		f.read(r.by, p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.cut) < cutLife && !reads {
		r.copy, r.cleared = nil, true
		f.cut = time.Time{}
	}
	f.revisions = append(f.revisions, r)
	return r, nil
}

// cutLife is how long a text is cut that nobody writes then.
const cutLife = 10 * time.Second

// truncate cuts the text for a process: what it has opened last and not written,
// because the kernel says so of an opening with O_TRUNC only afterwards, and not
// which, but by the thread that opens; or else what is opened next, which is not
// written for that.
func (f *text) truncate(by process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, opener := range []func(process) bool{
		func(p process) bool { return p.thread == by.thread },
		by.is,
	} {
		for _, r := range slices.Backward(f.revisions) {
			if opener(r.by) && r.clear() {
				return
			}
		}
	}
	f.cut = time.Now()
}

// clear makes the copy empty, unless it was written.
func (r *revision) clear() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cleared || r.written {
		return false
	}
	r.copy, r.cleared = nil, true
	return true
}

var (
	_ = (gofs.FileGetattrer)((*revision)(nil))
	_ = (gofs.FileSetattrer)((*revision)(nil))
	_ = (gofs.FileReader)((*revision)(nil))
	_ = (gofs.FileWriter)((*revision)(nil))
	_ = (gofs.FileFlusher)((*revision)(nil))
	_ = (gofs.FileReleaser)((*revision)(nil))
)

// Getattr answers fstat.
func (r *revision) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	if errno := r.f.t.getattr(ctx, r.f, out); errno != 0 {
		return errno
	}
	n := int64(r.size())
	sized(&out.Attr, n, n)
	return 0
}

// size is the length of the copy.
func (r *revision) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.copy)
}

// Setattr changes the length, which is not to write: programs do that first.
func (r *revision) Setattr(ctx context.Context, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		r.mu.Lock()
		copied, err := resize(r.copy, size)
		r.copy, r.cleared = copied, size == 0
		r.mu.Unlock()
		if err != nil {
			return r.f.t.errno("truncate "+r.f.kind, err)
		}
	}
	return r.Getattr(ctx, out)
}

// Read reads the copy.
func (r *revision) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return part(slices.Clone(r.copy), len(dest), off), 0
}

// Write writes to the copy.
func (r *revision) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.copy, err = overwrite(r.copy, data, off, r.end); err != nil {
		return 0, r.f.t.errno("write "+r.f.kind, err)
	}
	r.wrote, r.written = true, true
	return uint32(len(data)), 0
}

// Flush is one close of the file, of possibly many. The one that finishes it
// returns when what was written is so, or why it is not.
func (r *revision) Flush(ctx context.Context) syscall.Errno {
	r.mu.Lock()
	c := closing{opener: r.by.id, wrote: r.wrote}
	r.mu.Unlock()
	if !c.wrote {
		return 0
	}
	c.closes(ctx)
	switch {
	case c.mine() && c.broken():
		r.mu.Lock()
		r.dropped = true
		r.mu.Unlock()
		why := errors.New("whoever wrote it " + c.ended())
		r.f.t.edits.reasons.set(r.f.file(), errors.Join(why, r.takeBack(ctx, why)))
		return 0
	case c.finished():
		return r.finish(ctx)
	}
	return 0
}

// Release puts what nobody has put who closed it: its opener may have left it to
// another process.
func (r *revision) Release(ctx context.Context) syscall.Errno {
	r.mu.Lock()
	left := r.wrote && !r.dropped
	cut := r.cleared && !r.written
	r.mu.Unlock()
	r.f.mu.Lock()
	r.f.revisions = slices.DeleteFunc(r.f.revisions, func(o *revision) bool { return o == r })
	if cut {
		r.f.cut = time.Now()
	}
	r.f.mu.Unlock()
	if left {
		return r.finish(ctx)
	}
	return 0
}

// finish puts the copy in the place of the text.
func (r *revision) finish(ctx context.Context) syscall.Errno {
	r.mu.Lock()
	copied := slices.Clone(r.copy)
	r.wrote = false
	r.mu.Unlock()
	err := r.f.put(ctx, r.by, copied)
	if back := r.takeBack(ctx, err); back != nil {
		err = errors.Join(err, back)
	}
	return r.f.t.told(r.f.file(), "write "+r.f.file(), err)
}

// takeBack undoes what making the text did, because of why; without a reason it
// is done for good.
func (r *revision) takeBack(ctx context.Context, why error) error {
	r.mu.Lock()
	undo := r.undo
	r.undo = nil
	r.mu.Unlock()
	if undo == nil || why == nil {
		return nil
	}
	return undo(ctx, why)
}
