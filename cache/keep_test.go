package cache

import (
	"context"
	"testing"
	"time"
)

// Blocks that are to be written are not overwritten by what comes next when the whole
// blob is dropped meanwhile: their buffers are in use.
func TestUnkeptBlocksStay(t *testing.T) {
	src := newMemory(ExtentSize, false)
	more := make(chan struct{})
	src.gate = func(ctx context.Context, off int64) error {
		if off < 3*BlockSize {
			return nil
		}
		select {
		case <-more:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	read := make(chan struct{})
	go func() {
		defer close(read)
		check(t, b, src, 0, 6*BlockSize)
	}()
	becomes(t, "three blocks are here", func() bool { return b.Cached() == 3*BlockSize })
	s.mu.Lock()
	b.state = Mismatched
	s.mu.Unlock()
	b.Recheck()
	s.mu.Lock()
	if b.cached > 0 || b.writing != 3 {
		t.Errorf("%d bytes are here, %d blocks are to be written", b.cached, b.writing)
	}
	for _, h := range b.runs[0].filling.unkept {
		if h.buf.users < 1 {
			t.Errorf("nobody uses the buffer that the block at %d is to be written from", h.start)
		}
	}
	s.mu.Unlock()
	close(more)
	<-read
	rest(b)
	check(t, b, src, 0, b.Size())
}
