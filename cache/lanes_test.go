package cache

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a way to a source: so long until a stream opens, and so long for each
// block, of each stream by itself or of all together.
type wire struct {
	*memory
	latency, block time.Duration
	shared         chan struct{} // holds one while a block is on the link; nil where each stream has its own

	mu        sync.Mutex
	now, most int // streams under way
}

func (w *wire) Open(ctx context.Context, off, n int64) (Stream, error) {
	time.Sleep(w.latency)
	st, err := w.memory.Open(ctx, off, n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	w.most = max(w.most, w.now)
	st.Body = &wireBody{st.Body, w}
	return st, err
}

// streams tells how many were under way at a time, at most, since it was last
// asked.
func (w *wire) streams() (most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	most, w.most = w.most, w.now
	return most
}

type wireBody struct {
	io.ReadCloser
	w *wire
}

func (b *wireBody) Read(p []byte) (int, error) {
	if b.w.shared != nil {
		b.w.shared <- struct{}{}
		defer func() { <-b.w.shared }()
	}
	time.Sleep(b.w.block)
	return b.ReadCloser.Read(p)
}

func (b *wireBody) Close() error {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.w.now--
	return b.ReadCloser.Close()
}

// over opens a blob whose source is at the end of w.
func over(t testing.TB, s *Store, key Key, w *wire) *Blob {
	t.Helper()
	b, err := s.Blob(key, int64(len(w.data)), Digest{}, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// forward reads b from off to end.
func forward(t testing.TB, b *Blob, w *wire, off, end int64) {
	for ; off < end; off += 256 << 10 {
		check(t, b, w.memory, off, 256<<10)
	}
}

// Where each connection is slow a forward reader is fetched by several, and all
// bytes once.
func TestSlowConnectionsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{memory: newMemory(96<<20, false), block: time.Millisecond}
		b := over(t, open(t, 1<<30, time.Minute), "blob", w)
		forward(t, b, w, 0, b.Size())
		if n := w.streams(); n != maxLanes {
			t.Errorf("%d streams at a time, want %d", n, maxLanes)
		}
		if most := w.memory.most(); most != 1 {
			t.Errorf("a block was fetched %d times", most)
		}
	})
}

// Where the link is the bound, more streams than one are tried and given up.
func TestOneStreamFillsALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{memory: newMemory(96<<20, false), block: time.Millisecond, shared: make(chan struct{}, 1)}
		b := over(t, open(t, 1<<30, time.Minute), "blob", w)
		forward(t, b, w, 0, 48<<20)
		w.streams()
		forward(t, b, w, 48<<20, b.Size())
		if n := w.streams(); n != 1 {
			t.Errorf("%d streams at a time, want 1", n)
		}
	})
}

// A reader who comes while another is fetched by many streams gets as many as
// that one keeps.
func TestReadersShareLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, 1<<30, time.Minute)
		one := &wire{memory: newMemory(192<<20, false), block: time.Millisecond}
		two := &wire{memory: newMemory(128<<20, false), block: time.Millisecond}
		first, second := over(t, s, "one", one), over(t, s, "two", two)
		forward(t, first, one, 0, 64<<20)
		var wg sync.WaitGroup
		wg.Go(func() { forward(t, first, one, 64<<20, first.Size()) })
		wg.Go(func() {
			forward(t, second, two, 0, 64<<20)
			one.streams()
			two.streams()
			forward(t, second, two, 64<<20, 96<<20)
			if n, m := one.streams(), two.streams(); n > maxLanes/2+1 || m < maxLanes/2 {
				t.Errorf("%d streams for the first reader and %d for the second", n, m)
			}
		})
		wg.Wait()
	})
}

// On a far link a miss fetches more than a block, and reads nearby find it.
func TestFarMissesFetchMore(t *testing.T) {
	for latency, grain := range map[time.Duration]int64{time.Millisecond: BlockSize, 20 * time.Millisecond: maxGrain} {
		synctest.Test(t, func(t *testing.T) {
			w := &wire{memory: newMemory(64<<20, false), latency: latency, block: 100 * time.Microsecond}
			b := over(t, open(t, 1<<30, time.Minute), "blob", w)
			check(t, b, w.memory, 60<<20, 1) // shows how far it is
			before := fetched(w.memory)
			for i := range int64(10) {
				check(t, b, w.memory, i<<22+BlockSize, 4096)
			}
			time.Sleep(time.Second) // what is behind the last miss is still coming
			if got := fetched(w.memory) - before; got != 10*grain {
				t.Errorf("at %s ten misses fetched %d bytes, want %d", latency, got, 10*grain)
			}
			opened := w.opened()
			check(t, b, w.memory, 0, 1) // before the first miss, within its grain
			if more := w.opened() - opened; more != int(1-grain/maxGrain) {
				t.Errorf("at %s %d streams for a read beside a miss", latency, more)
			}
		})
	}
}

// Several streams of the whole, which come of a service that could seek before, all
// go on with their reader.
func TestRoomForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, 1<<20, time.Minute)
		b := blob(t, s, newMemory(1<<20, true))
		s.mu.Lock()
		b.seeks = fromStart
		q := b.begin(0)
		s.mu.Unlock()
		for range 3 {
			go func() {
				r := &run{blob: b, sequence: q}
				if err := r.room(bound(t), 1<<19); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait() // all of them wait
		s.mu.Lock()
		q.raise(1)
		s.mu.Unlock()
		synctest.Wait()
	})
}
