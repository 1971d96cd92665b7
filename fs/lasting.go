package fs

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/fs/ledger"
	"glancefs/fs/proc"
)

// lasting serves the tree with file handles that outlast this process: it gives
// the kernel numbers of its own, and writes down what each is a handle of, so that
// the next process opens it again when it is used. What a read of image data needs
// is in the node; such a handle only counts.
type lasting struct {
	fuse.RawFileSystem
	tree   *tree
	ledger *ledger.Ledger
	serial atomic.Uint64 // of the last handle

	mu      sync.RWMutex
	handles map[uint64]*handle // by number
	opened  map[uint64]*handle // those of the process before, by the request that opened them
}

// A handle is one opening that the kernel knows. Its line has its number, its
// node's, the number of the request that opened it, the flags of that, who that
// was, and the rest: bits, and the backing file from the 32nd bit up.
type handle struct {
	ledger.Line

	mu    sync.Mutex
	inner uint64 // go-fuse's number
	open  bool   // go-fuse has it
}

const (
	handleNumber = iota
	handleNode
	handleRequest
	handleFlags
	handleOpener
	handleRest
)

const (
	handleIsDir  = 1 << iota
	handleWrote  // something was written through it
	handleFailed // or could not be
)

// dataBit marks the numbers of handles that only count.
const dataBit = 1 << 63

// resentBit marks requests that the kernel sends again, because the process that
// had read them has died (FUSE_UNIQUE_RESEND of linux/fuse.h).
const resentBit = 1 << 63

// Flags of an Open that makes a handle again. open(2) has none like these; who
// opened it first is the caller.
const (
	openAgain  = 1 << 31
	openWrote  = 1 << 30 // something was written through it before
	openFailed = 1 << 29 // or could not be
)

func newLasting(raw fuse.RawFileSystem, t *tree) *lasting {
	l := &lasting{RawFileSystem: raw, tree: t, ledger: t.ledger, handles: make(map[uint64]*handle), opened: make(map[uint64]*handle)}
	l.serial.Store(uint64(time.Now().UnixNano())) // no number is used twice
	gauge(t.metrics, "glancefs_handles", "Files and directories that are open.", func() float64 { return float64(l.count()) })
	return l
}

// count is how many files and directories are open.
func (l *lasting) count() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.handles)
}

// add notes a handle that go-fuse has as inner, and returns the number that the
// kernel is to have.
func (l *lasting) add(in *fuse.OpenIn, node, inner, rest uint64) uint64 {
	number := l.serial.Add(1)
	opener := 0
	if inner == 0 {
		number |= dataBit
	} else if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		opener = proc.Of(int(in.Pid))
	}
	h := &handle{inner: inner, open: true}
	h.Line = ledger.Line{Kind: lineHandle, Num: [6]uint64{number, node, in.Unique &^ resentBit, uint64(in.Flags), uint64(opener), rest}}
	l.ledger.Add(&h.Line)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handles[number] = h
	return number
}

// find returns the handle of a number, nil if there is none.
func (l *lasting) find(number uint64) *handle {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.handles[number]
}

// inner makes the number of a handle that of go-fuse, and opens the handle again
// if need be.
func (l *lasting) inner(number *uint64) fuse.Status {
	if *number == 0 {
		return fuse.OK
	}
	if *number&dataBit != 0 {
		*number = 0
		return fuse.OK
	}
	h := l.find(*number)
	if h == nil {
		return statusLost
	}
	st := l.reopen(h)
	*number = h.inner
	return st
}

// reopen has go-fuse open what the process before had open.
func (l *lasting) reopen(h *handle) fuse.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open {
		return fuse.OK
	}
	in := &fuse.OpenIn{Flags: uint32(h.Num[handleFlags]) | openAgain}
	in.NodeId, in.Pid = h.Num[handleNode], uint32(h.Num[handleOpener])
	if h.Num[handleRest]&handleWrote != 0 {
		in.Flags |= openWrote
	}
	if h.Num[handleRest]&handleFailed != 0 {
		in.Flags |= openFailed
	}
	var out fuse.OpenOut
	open := l.RawFileSystem.Open
	if h.Num[handleRest]&handleIsDir != 0 {
		open = l.RawFileSystem.OpenDir
	}
	if st := open(nil, in, &out); !st.Ok() {
		return statusLost
	}
	h.inner, h.open = out.Fh, true
	return fuse.OK
}

// remove forgets a handle, and returns it; nil if there is none.
func (l *lasting) remove(number uint64) *handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.handles[number]
	if h != nil {
		delete(l.handles, number)
		delete(l.opened, h.Num[handleRequest])
	}
	return h
}

// undo gives up the handle that the process before made for a request, and which
// the kernel has never heard of, because it asks again.
func (l *lasting) undo(unique uint64) {
	if unique&resentBit == 0 {
		return
	}
	l.mu.RLock()
	h := l.opened[unique&^resentBit]
	l.mu.RUnlock()
	if h == nil {
		return
	}
	in := &fuse.ReleaseIn{Fh: h.Num[handleNumber]}
	in.NodeId = h.Num[handleNode]
	if h.Num[handleRest]&handleIsDir != 0 {
		l.ReleaseDir(in)
	} else {
		l.Release(nil, in)
	}
}

// recall takes in a handle of the process before.
func (l *lasting) recall(old *ledger.Line) *handle {
	h := &handle{Line: *old, open: old.Num[handleNumber]&dataBit != 0}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handles[h.Num[handleNumber]] = h
	l.opened[h.Num[handleRequest]] = h
	return h
}

// backing is the backing file of a handle of image data, 0 if it has none.
func (h *handle) backing() int32 { return int32(h.Num[handleRest] >> 32) }

// mark sets a bit of a handle.
func (l *lasting) mark(number, bit uint64) {
	h := l.find(number)
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.Num[handleRest]&bit == 0 {
		h.Num[handleRest] |= bit
		l.ledger.Update(&h.Line)
	}
}

// Forget is told of the end of a node.
func (l *lasting) Forget(number, n uint64) {
	ours, gone, left := l.tree.nodes.forget(number, n)
	switch {
	case gone:
		l.forgotten(number, ours)
	case left:
		l.tree.doubt(number)
	}
}

func (l *lasting) forgotten(number, ours uint64) {
	l.tree.incoming.forgotten(number)
	if ours > 0 {
		l.RawFileSystem.Forget(number, ours)
	}
}
