package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"glancefs/fs/disk"
	"glancefs/fs/proc"
)

// An opening is one open file of a draft, of whichever node.
type opening struct {
	*draft
	in     *incoming
	file   *os.File // nil for a draft that became an image before
	writes bool     // opened for writing
	reads  bool     // and for reading
	fills  bool     // what was opened is the data of a queued image
	opener int      // process; 0 where that cannot be told

	first sync.Once // of the writes

	wrote   bool // since it was last closed; guarded by the draft's mu, as are the next
	missing gap
	caught  bool // who wrote first had a use for SIGINT
}

// opening makes an opening of a draft with the flags of open(2). It counts no writer.
func (in *incoming) opening(d *draft, file *os.File, flags uint32) *opening {
	mode := flags & syscall.O_ACCMODE
	return &opening{draft: d, in: in, file: file, fills: d.known().Image != "", writes: mode != syscall.O_RDONLY, reads: mode != syscall.O_WRONLY}
}

// open opens a draft.
func (in *incoming) open(ctx context.Context, d *draft, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if flags&openAgain != 0 {
		return in.reopen(ctx, d, flags)
	}
	file, err := d.openFile()
	if err != nil {
		return nil, 0, in.t.errno("open a draft", err)
	}
	return in.opened(ctx, d, file, flags)
}

// opened makes an opening of a draft's bytes, which it closes.
func (in *incoming) opened(ctx context.Context, d *draft, file *os.File, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	o := in.opening(d, file, flags)
	if !o.writes {
		return o, fuse.FOPEN_NOFLUSH, 0
	}
	_, o.opener = caller(ctx)
	if err := d.enter(o.opener); err != nil {
		file.Close()
		return nil, 0, in.t.errno("open a draft", err)
	}
	if !o.reads {
		// It cannot be mapped, so the kernel need not keep the pages.
		return o, fuse.FOPEN_DIRECT_IO, 0
	}
	return o, 0, 0
}

// reopen opens a draft that who calls had open in the process before, whatever has
// become of it.
func (in *incoming) reopen(ctx context.Context, d *draft, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	file, err := d.openFile()
	if err != nil {
		return nil, 0, in.t.errno("open a draft again", err)
	}
	o := in.opening(d, file, flags)
	_, o.opener = caller(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	o.wrote = flags&openWrote != 0
	if flags&openFailed != 0 {
		o.missing.miss(0, math.MaxInt64, errUnwritten) // what is not known
	}
	if o.writes {
		d.rejoined(o.opener, o.wrote)
	}
	return o, 0, 0
}

// setattr changes length and times of a draft that is not open.
func (in *incoming) setattr(ctx context.Context, d *draft, attr *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	file, err := d.openFile()
	if err != nil {
		return in.t.errno("setattr of a draft", err)
	}
	defer file.Close()
	o := &opening{draft: d, in: in, file: file}
	if _, ok := attr.GetSize(); ok { // as open(2) with O_TRUNC does it
		_, o.opener = caller(ctx)
	}
	return o.Setattr(ctx, attr, out)
}

var (
	_ = (gofs.FileGetattrer)((*opening)(nil))
	_ = (gofs.FileSetattrer)((*opening)(nil))
	_ = (gofs.FileReader)((*opening)(nil))
	_ = (gofs.FileWriter)((*opening)(nil))
	_ = (gofs.FileFsyncer)((*opening)(nil))
	_ = (gofs.FileLseeker)((*opening)(nil))
	_ = (gofs.FileAllocater)((*opening)(nil))
	_ = (gofs.FileFlusher)((*opening)(nil))
	_ = (gofs.FileReleaser)((*opening)(nil))
)

// Getattr answers fstat.
func (o *opening) Getattr(_ context.Context, out *fuse.AttrOut) syscall.Errno {
	return o.in.t.errno("stat of a draft", o.in.t.statDraft(&out.Attr, o.draft, o.file))
}

// Setattr changes length and times.
func (o *opening) Setattr(ctx context.Context, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if err := o.truncate(int64(size)); err != nil {
			return o.in.t.errno("truncate a draft", err)
		}
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	if at, ok := in.GetATime(); ok {
		times[0] = unix.NsecToTimespec(at.UnixNano())
	}
	if at, ok := in.GetMTime(); ok {
		times[1] = unix.NsecToTimespec(at.UnixNano())
	}
	if o.fixedAs() == nil { // else the file may be the cache's by now
		_ = futimens(o.file, times) // of no consequence
	}
	return o.Getattr(ctx, out)
}

// futimens sets the times of an open file.
func futimens(f *os.File, times []unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), times, 0)
}

// truncate sets the length, where that is another: most programs that write
// a new file set it to nothing first.
func (o *opening) truncate(size int64) error {
	if info, err := o.file.Stat(); err == nil && o.fixedAs() == nil && info.Size() == size {
		return nil
	}
	return o.change(func() error {
		err := o.file.Truncate(size)
		if err == nil && size == 0 { // its writer begins anew
			_ = disk.Damaged(o.file) // nor does it matter any more
			o.mu.Lock()
			was := o.about.Damaged
			o.missing, o.about.Damaged = gap{}, false
			o.begunAnew(o.opener)
			o.mu.Unlock()
			if was {
				_ = o.save(false) // or the next process would not take what is written now
			}
		}
		return err
	})
}

// change runs do, which changes bytes, where they may be changed.
func (o *opening) change(do func() error) error {
	if err := o.begin(o.opener); err != nil {
		return err
	}
	defer o.end()
	return do()
}

// Read reads the draft, or the image it has become: the cache may have dropped
// the bytes of its file since.
func (o *opening) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	image, err := o.became(ctx)
	if err != nil {
		return nil, o.in.t.errno("read a draft", err)
	}
	if image != "" {
		return o.readImage(ctx, image, dest, off)
	}
	n, err := o.file.ReadAt(dest, off)
	if o.isImage() {
		return o.Read(ctx, dest, off) // what was read may be a hole that the cache has made
	}
	if err != nil && err != io.EOF {
		return nil, o.in.t.errno("read a draft", err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// became returns the image that the draft has become, or "". Without the file, or
// while the cache takes that, it waits for the moment that the image is in its place.
func (o *opening) became(ctx context.Context) (image string, err error) {
	o.mu.Lock()
	image, up := o.image, o.up
	o.mu.Unlock()
	if up == nil || image == "" && o.file != nil {
		return image, nil
	}
	if err := up.wait(ctx); err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.image, nil
}

// Write writes to the draft.
func (o *opening) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	o.first.Do(func() {
		thread, _ := caller(ctx)
		caught := proc.Catches(thread, syscall.SIGINT)
		o.mu.Lock()
		o.caught = caught
		o.mu.Unlock()
	})
	var n int
	err := o.change(func() (err error) {
		n, err = o.file.WriteAt(data, off)
		if errors.Is(err, syscall.ENOSPC) && o.in.t.store.MakeRoom() > 0 {
			n, err = o.file.WriteAt(data, off)
		}
		o.note(off, n, len(data), err)
		return err
	})
	if err != nil && n == 0 {
		return 0, o.in.t.errno("write a draft", err)
	}
	return uint32(n), 0 // the next one meets what stopped this one
}

// note notes that of so many bytes n were written.
func (o *opening) note(off int64, n, of int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n > 0 {
		o.wrote = true
		o.missing.fill(off, off+int64(n))
	}
	if err != nil {
		o.missing.miss(off+int64(n), off+int64(of), err)
	}
}

// Fsync makes the draft survive a loss of power.
func (o *opening) Fsync(context.Context, uint32) syscall.Errno {
	if o.fixedAs() != nil {
		return 0
	}
	return o.in.t.errno("sync of a draft", o.sync(o.file))
}

// Lseek finds data and holes; an image is taken to have none of these.
func (o *opening) Lseek(_ context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	if info := o.fixedAs(); info != nil {
		at, err := seekWhole(off, uint64(info.Size()), whence)
		return at, o.in.t.errno("seek in a draft", err)
	}
	n, err := unix.Seek(int(o.file.Fd()), int64(off), int(whence))
	return uint64(n), o.in.t.errno("seek in a draft", err)
}

// Allocate makes room, or holes.
func (o *opening) Allocate(_ context.Context, off, size uint64, mode uint32) syscall.Errno {
	return o.in.t.errno("allocate a draft", o.change(func() error {
		return unix.Fallocate(int(o.file.Fd()), mode, int64(off), int64(size))
	}))
}

// Flush is one close of the file, of possibly many, and none of the others may
// come. If it is the one that finishes the draft it returns when the draft has
// become an image, or why it has not.
func (o *opening) Flush(ctx context.Context) syscall.Errno {
	return o.in.t.errno("close a draft", o.in.closed(ctx, o))
}

// Release ends the opening.
func (o *opening) Release(context.Context) syscall.Errno {
	o.file.Close()
	if o.writes {
		o.leave()
		o.in.leaveOut(o.draft)
	}
	return 0
}
