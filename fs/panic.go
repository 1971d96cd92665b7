package fs

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	// answerTime is enough for the answer to a request that has panicked to be out. The
	// next process is asked again what has none, and would panic as well.
	answerTime = 100 * time.Millisecond
	// panicSpan is how old a process is at least that ends for a panic: of those that die
	// sooner, too many end the mount.
	panicSpan = time.Minute
)

// panics sees to requests that panic. Such a one may have left a lock held, for which
// all others then wait, or something half changed. So where another process can go on
// with the mount, this one ends, and says what each of its goroutines was doing.
type panics struct {
	log     *slog.Logger
	began   time.Time   // when the process began to serve
	lasting func() bool // another process can go on
	abort   func()
	once    sync.Once
}

func newPanics(m *Mount) *panics {
	abort := func() { _ = unix.Kill(unix.Getpid(), unix.SIGABRT) }
	return &panics{log: m.log, began: time.Now(), lasting: m.Lasting, abort: abort}
}

// answer is that to a request that has panicked with v.
func (p *panics) answer(v any) fuse.Status {
	p.log.Error("panic", "value", v, "stack", string(debug.Stack()))
	if p.lasting() {
		p.once.Do(func() {
			time.AfterFunc(max(answerTime, panicSpan-time.Since(p.began)), p.abort)
		})
	}
	return fuse.EIO
}
