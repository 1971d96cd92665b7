package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for _, size := range []int64{1, BlockSize - 1, BlockSize, BlockSize + 1, ExtentSize + 1, 3*ExtentSize - 7} {
		for _, whole := range []bool{false, true} {
			t.Run(fmt.Sprint(size, whole), func(t *testing.T) {
				src := newMemory(size, whole)
				b := blob(t, open(t, 1<<30, time.Minute), src)
				check(t, b, src, size-1, 5)
				check(t, b, src, 0, size+1)
				check(t, b, src, size/2, size)
				if got := b.Cached(); got != size {
					t.Errorf("cached %d of %d", got, size)
				}
				if n, err := b.ReadAt(context.Background(), make([]byte, 1), size); n != 0 || err != io.EOF {
					t.Errorf("read at the end: %d, %v", n, err)
				}
			})
		}
	}
}

func TestEachByteOnce(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprint("whole=", whole), func(t *testing.T) {
			src := newMemory(40<<20+123, whole)
			b := blob(t, open(t, 1<<30, time.Minute), src)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					if i%2 == 0 {
						for off := int64(0); off < b.Size(); off += 1 << 20 {
							check(t, b, src, off, 1<<20)
						}
						return
					}
					r := rand.New(rand.NewPCG(uint64(i), 1))
					for range 200 {
						check(t, b, src, r.Int64N(b.Size()), 1+r.Int64N(300<<10))
					}
				})
			}
			wg.Wait()
			if most := src.most(); most != 1 {
				t.Errorf("a block was fetched %d times", most)
			}
			if whole && src.opened() != 1 {
				t.Errorf("%d streams of the whole", src.opened())
			}
		})
	}
}

// A stream counts from when it is asked for: who comes before it has opened, and
// needs the rest of its last block, waits for it.
func TestStreamBeingOpenedIsShared(t *testing.T) {
	src := newMemory(1<<20, false)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	check(t, b, src, 1<<20-1, 1) // shows that the source seeks
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	b.store.mu.Lock()
	b.src = &slowOpen{src, asked, answer}
	b.store.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { check(t, b, src, 0, BlockSize+1000) })
	<-asked
	wg.Go(func() { check(t, b, src, BlockSize+2000, 1000) })
	becomes(t, "both wait", func() bool { return waiting(b) == 2 })
	close(answer)
	wg.Wait()
	if most := src.most(); most != 1 {
		t.Errorf("a block was fetched %d times", most)
	}
}

// waiting counts the readers who wait for a run.
func waiting(b *Blob) (n int) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	for _, r := range b.runs {
		n += len(r.waiters)
	}
	return n
}

// slowOpen tells when it is asked, and answers when it is told.
type slowOpen struct {
	Source
	asked  chan<- struct{}
	answer <-chan struct{}
}

func (s *slowOpen) Open(ctx context.Context, off, n int64) (Stream, error) {
	s.asked <- struct{}{}
	<-s.answer
	return s.Source.Open(ctx, off, n)
}

// A source that cannot seek: a reader at the start and one at the end share
// one stream, and the first has its bytes while the stream still runs.
func TestOppositeEnds(t *testing.T) {
	src := newMemory(20<<20, true)
	more := make(chan struct{}) // until it is closed, the stream stops after its first MiB
	src.gate = func(_ context.Context, off int64) error {
		if off >= 1<<20 {
			<-more
		}
		return nil
	}
	b := blob(t, open(t, 1<<30, time.Minute), src)
	var wg sync.WaitGroup
	wg.Go(func() { check(t, b, src, 20<<20-10, 10) })
	check(t, b, src, 1<<20-100, 100)
	close(more)
	wg.Wait()
	if n := src.opened(); n != 1 {
		t.Errorf("%d streams", n)
	}
}

// The bytes of a block are given out before the block is whole.
func TestWokenWithinBlock(t *testing.T) {
	src := newMemory(BlockSize, false)
	half := make(chan struct{})
	src.gate = func(ctx context.Context, off int64) error {
		if off == 0 {
			return nil
		}
		select {
		case <-half:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b := blob(t, open(t, 1<<30, time.Minute), src)
	defer close(half)
	small := &shortReads{Source: b.src, n: 1000}
	b.store.mu.Lock()
	b.src = small
	b.store.mu.Unlock()
	check(t, b, src, 10, 900)
}

// shortReads makes a source's bodies give n bytes at a time.
type shortReads struct {
	Source
	n int
}

func (s *shortReads) Open(ctx context.Context, off, n int64) (Stream, error) {
	st, err := s.Source.Open(ctx, off, n)
	st.Body = &shortBody{st.Body, s.n}
	return st, err
}

type shortBody struct {
	io.ReadCloser
	n int
}

func (b *shortBody) Read(p []byte) (int, error) { return b.ReadCloser.Read(p[:min(len(p), b.n)]) }

// What has arrived of a block does not come from the disk, where nothing could
// tell whether it is still right.
func TestPartOfBlockIsNotTakenFromDisk(t *testing.T) {
	src := newMemory(BlockSize, false)
	src.cut = 5
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	check(t, b, src, 0, 1)
	f, err := os.OpenFile(s.path("blob")+dataSuffix, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteAt([]byte{src.data[0] ^ 1}, 0)
	check(t, b, src, 0, 3)
	check(t, b, src, 0, b.Size())
}

func TestInterruptedReaderLeavesAlone(t *testing.T) {
	src := newMemory(1<<20, false)
	open1 := make(chan struct{})
	src.gate = func(ctx context.Context, _ int64) error {
		select {
		case <-open1:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b := blob(t, open(t, 1<<30, time.Minute), src)
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		_, err := b.ReadAt(ctx, make([]byte, 100), 0)
		left <- err
	}()
	var wg sync.WaitGroup
	wg.Go(func() { check(t, b, src, 50, 100) })
	becomes(t, "both wait", func() bool { return waiting(b) == 2 })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted read: %v", err)
	}
	close(open1)
	wg.Wait()
	if n := src.opened(); n != 1 {
		t.Errorf("%d streams", n)
	}
}

func TestBrokenStreamsResume(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprint("whole=", whole), func(t *testing.T) {
			src := newMemory(2<<20, whole)
			src.cut = 300_000
			src.fail = []error{errors.New("refused"), nil, errors.New("503")}
			b := blob(t, open(t, 1<<30, time.Minute), src)
			check(t, b, src, 0, 2<<20)
			if st := b.store.Stats(); st.Broken != 3 {
				t.Errorf("%d broken streams, want 3: two refused, one cut", st.Broken)
			}
		})
	}
}

func TestSilentStreamResumes(t *testing.T) {
	src := newMemory(2<<20, false)
	var once sync.Once
	src.gate = func(ctx context.Context, off int64) error {
		var err error
		if off >= 1<<20 {
			once.Do(func() { <-ctx.Done(); err = ctx.Err() })
		}
		return err
	}
	b := blob(t, open(t, 1<<30, 2*time.Second), src)
	check(t, b, src, 0, 2<<20)
}

// Who was silent, the service or whoever it is that has to be asked before it, is
// in the reader's error.
func TestSilenceHasAName(t *testing.T) {
	src := newMemory(BlockSize, false)
	src.gate = func(ctx context.Context, off int64) error {
		<-ctx.Done()
		return fmt.Errorf("the doorkeeper: %w", context.Cause(ctx))
	}
	b := blob(t, open(t, 1<<30, 100*time.Millisecond), src)
	if _, err := b.ReadAt(context.Background(), make([]byte, 1), 0); err == nil || !strings.Contains(err.Error(), "the doorkeeper: ") {
		t.Errorf("%v", err)
	}
}

// A run at the end of a blob says nothing about its last block, which is short
// and so still looks like the block the run is within: once lost, it is missing.
func TestShortLastBlockIsNoTip(t *testing.T) {
	src := newMemory(BlockSize+100, false)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	check(t, b, src, 0, b.Size())
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	e := b.pin(BlockSize)
	defer e.unpin()
	e.lose(BlockSize)
	b.runs = append(b.runs, &run{blob: b, pos: b.size})
	if got := b.missing(BlockSize, b.size); got != BlockSize {
		t.Errorf("missing from %d, want %d", got, BlockSize)
	}
	b.runs = nil
}
