package fs

import (
	"context"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/fs/proc"
)

// A process is who does something, and who started it.
type process struct {
	thread     int
	id, parent int
	alone      bool // it has one thread only, so it does one thing after the other
}

// who returns the process behind a request, while that is being answered.
func who(ctx context.Context) process {
	thread, id := caller(ctx)
	if id == 0 {
		return process{}
	}
	parent, _ := strconv.Atoi(proc.Status(thread, "PPid"))
	return process{thread, id, parent, proc.Status(thread, "Threads") == "1"}
}

// is reports whether both are the same process, as far as can be told.
func (p process) is(q process) bool { return p.id != 0 && p.id == q.id }

// kin reports whether one has started the other, or somebody both, as a script
// does with the program that reads a file and the one that writes it.
func (p process) kin(q process) bool {
	return p.is(q) || p.id != 0 && p.id == q.parent || q.id != 0 && q.id == p.parent || p.parent > 1 && p.parent == q.parent
}

// caller returns the process behind a request, while that is being answered. The
// kernel names a thread.
func caller(ctx context.Context) (thread, process int) {
	c, ok := fuse.FromContext(ctx)
	if !ok || c.Pid == 0 {
		return 0, 0
	}
	return int(c.Pid), proc.Of(int(c.Pid))
}

// leavingEvery is how often a process that was interrupted is looked at.
const leavingEvery = 100 * time.Millisecond

// await returns when done is closed, or when the process behind the request no
// longer waits for it. The kernel tells of one signal only, whichever it is; a
// signal that a process ignores unless it has a use for it, such as those by
// which Go's runtime talks to itself, is no reason to leave.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	tick := time.NewTicker(leavingEvery)
	defer tick.Stop()
	for !hasLeft(ctx) {
		select {
		case <-done:
			return nil
		case <-tick.C:
		}
	}
	return context.Canceled
}

// hasLeft reports whether the process behind a request that was interrupted no longer
// waits for it. What interrupts may be no signal at all, but io_uring, which qemu has a
// main loop of: it does not try again.
func hasLeft(ctx context.Context) bool {
	thread, _ := caller(ctx)
	return leaving(thread)
}

// leaving reports whether a thread has a signal to see to, or cannot be seen. Nobody
// leaves for those that a process ignores unless it has a use for them.
func leaving(thread int) bool {
	if proc.Of(thread) == 0 {
		return true
	}
	pending := proc.SignalsOf(thread, "SigPnd") | proc.SignalsOf(thread, "ShdPnd")
	idle := proc.SignalsOf(thread, "SigBlk") | proc.Set(syscall.SIGURG, syscall.SIGCHLD, syscall.SIGWINCH)
	return pending&^idle != 0
}
