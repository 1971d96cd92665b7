package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A reader is the context of a read, which is asked from time to time while it
// waits. It has ended when its request has been interrupted, and also when the
// process that asked is no more: what goes through the page cache the kernel
// asks for in the background, and never takes back. Whoever else waits for the
// same page has the kernel ask again.
type reader struct {
	context.Context
	pid int // of a thread; 0 where it is in a namespace that cannot be seen from here
}

// readerOf makes a reader of the context of a request.
func readerOf(ctx context.Context) reader {
	r := reader{Context: ctx}
	if caller, ok := fuse.FromContext(ctx); ok {
		r.pid = int(caller.Pid)
	}
	return r
}

// Err is as context.Context has it, but for a reader that is gone, Done does not
// tell.
func (r reader) Err() error {
	if err := r.Context.Err(); err != nil {
		return err
	}
	if r.pid > 0 && unix.Kill(r.pid, 0) == unix.ESRCH {
		return context.Canceled
	}
	return nil
}
