package cache

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// fetched is how much of src has been asked for, in bytes.
func fetched(src *memory) (n int64) {
	src.mu.Lock()
	defer src.mu.Unlock()
	for _, g := range src.given {
		n += int64(g) * BlockSize
	}
	return n
}

func TestRandomReadsFetchOnlyTheirBlocks(t *testing.T) {
	src := newMemory(256<<20, false)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	r := rand.New(rand.NewPCG(1, 2))
	touched := make(map[int64]bool)
	for range 300 {
		off := r.Int64N(b.Size()/4096) * 4096
		touched[off/BlockSize] = true
		check(t, b, src, off, 4096)
	}
	if got, want := fetched(src), int64(len(touched))*BlockSize; got > want*11/10 {
		t.Errorf("fetched %d bytes for blocks of %d", got, want)
	}
}

func TestBackwardReadsFetchOnlyTheirBlocks(t *testing.T) {
	src := newMemory(32<<20, false)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	for off := int64(16<<20 - BlockSize); off >= 8<<20; off -= BlockSize {
		check(t, b, src, off, BlockSize)
	}
	if got := fetched(src); got != 8<<20 {
		t.Errorf("fetched %d bytes for %d", got, 8<<20)
	}
}

// Two sequential readers of one blob each keep their sequence, and each needs
// few streams.
func TestSequentialReadersNeedFewStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{memory: newMemory(128<<20, false), block: time.Millisecond, shared: make(chan struct{}, 1)}
		b := over(t, open(t, 1<<30, time.Minute), "blob", w)
		for off := int64(0); off < 64<<20; off += 256 << 10 {
			forward(t, b, w, off, off+256<<10)
			forward(t, b, w, 64<<20+off, 64<<20+off+256<<10)
		}
		if n := w.opened(); n > 60 {
			t.Errorf("%d streams for two sequential readers", n)
		}
		if most := w.memory.most(); most != 1 {
			t.Errorf("a block was fetched %d times", most)
		}
	})
}

func TestSequentialStopWastesLessThanItRead(t *testing.T) {
	src := newMemory(256<<20, false)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	for off := int64(0); off < 10<<20; off += 64 << 10 {
		check(t, b, src, off, 64<<10)
	}
	b.store.cancel()
	b.store.runs.Wait()
	if got := fetched(src); got > 2*10<<20 {
		t.Errorf("fetched %d bytes for %d", got, 10<<20)
	}
}

// The last block is on its way, and no other is missing: there is nothing to fetch.
func TestVerifyWithinTheLastBlock(t *testing.T) {
	src := digested(2 * BlockSize)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	check(t, b, src, 0, 10)
	rest(b)
	within, resume := make(chan struct{}), make(chan struct{})
	src.mu.Lock()
	src.cut = 100
	src.gate = func(_ context.Context, off int64) error {
		if off == BlockSize+100 {
			select {
			case within <- struct{}{}:
				<-resume
			case <-resume:
			}
		}
		return nil
	}
	src.mu.Unlock()
	read, verified := make(chan struct{}), make(chan error)
	go func() {
		check(t, b, src, BlockSize, BlockSize)
		close(read)
	}()
	<-within
	go func() { verified <- b.Verify(bound(t)) }()
	for waiting := 0; waiting < 2; time.Sleep(time.Millisecond) {
		b.store.mu.Lock()
		waiting = len(b.runs[0].waiters)
		b.store.mu.Unlock()
	}
	close(resume)
	if err := <-verified; err != nil {
		t.Error(err)
	}
	<-read
	if n := src.most(); n > 1 {
		t.Errorf("a block was fetched %d times", n)
	}
}
