package fs

import (
	"hash"
	"os"
	"sync"

	"glancefs/cache"
)

const (
	// aheadPiece is how much is summed up at a time, in bytes.
	aheadPiece = 256 << 10
	// aheadLosses is how often what was summed up may be for nothing before no
	// more is: whoever writes here and there goes on to do so.
	aheadLosses = 2
)

// An ahead sums up a draft while it is written, as far as it is written from its
// start on, without a gap and one write at a time, so that less is left to do
// when it is sent. A write to what was summed up makes it begin again.
type ahead struct {
	path       string
	algo       string
	background func(func()) bool // runs something, unless the mount ends

	mu      sync.Mutex
	idle    sync.Cond // running no longer
	running bool
	writes  int   // under way
	crowded bool  // several are, or were, since there was none
	written int64 // so many bytes from the start are there, and none of them changes
	taken   int64 // of these so many are summed up, or just being
	losses  int
	sum     *sum // replaced when it is of no use any more, never reset
}

// A sum is what is known of the first bytes of a file.
type sum struct {
	passed int64 // so many
	hash   hash.Hash
	blocks cache.Sums
}

func newSum(algo string) *sum { return &sum{hash: newHash(algo)} }

func (s *sum) add(p []byte) {
	s.hash.Write(p)
	s.blocks.Write(p)
	s.passed += int64(len(p))
}

func newAhead(path, algo string, background func(func()) bool) *ahead {
	a := &ahead{path: path, algo: algo, background: background, sum: newSum(algo)}
	a.idle.L = &a.mu
	return a
}

// begin is told before the bytes from off on change, or some of them. The nil
// ahead sums up nothing.
func (a *ahead) begin(off int64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writes++
	a.crowded = a.crowded || a.writes > 1
	a.written = min(a.written, off)
	if off < a.taken {
		a.sum, a.taken = newSum(a.algo), 0
		a.losses++
	}
}

// end undoes begin, when n bytes at off have been written.
func (a *ahead) end(off, n int64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if off == a.written && !a.crowded {
		a.written += n
	}
	if a.writes--; a.writes == 0 {
		a.crowded = false
	}
	if !a.running && a.due() {
		a.running = a.background(a.run)
	}
}

// due reports whether there is a piece to sum up. Called with mu held.
func (a *ahead) due() bool { return a.written-a.taken >= aheadPiece && a.losses < aheadLosses }

// run sums up the pieces that there are.
func (a *ahead) run() {
	file, err := os.Open(a.path)
	if err == nil {
		defer file.Close()
	}
	buf := make([]byte, aheadPiece)
	a.mu.Lock()
	defer a.mu.Unlock()
	for err == nil && a.due() {
		s, at := a.sum, a.taken
		a.taken += aheadPiece
		a.mu.Unlock()
		if _, err = file.ReadAt(buf, at); err == nil {
			s.add(buf) // of no use, and replaced, if it has changed meanwhile
		}
		a.mu.Lock()
	}
	if err != nil {
		a.sum, a.taken, a.losses = newSum(a.algo), 0, aheadLosses
	}
	a.running = false
	a.idle.Broadcast()
}

// stop returns what was summed up, when nothing is written any more, and sums up
// no more.
func (a *ahead) stop() *sum {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.losses = aheadLosses
	for a.running {
		a.idle.Wait()
	}
	s := a.sum
	a.sum, a.taken, a.written = newSum(a.algo), 0, 0
	return s
}
