package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Source over bytes in memory that counts what it gives and can
// misbehave.
type memory struct {
	data  []byte
	whole bool // it cannot seek

	digest Digest // told to the store

	mu    sync.Mutex
	opens int     // streams opened
	given []int   // times each block was begun to be given
	cut   int64   // > 0: the next stream ends with an error after so many bytes
	fail  []error // what the next Opens answer
	spoil int     // so many streams have their first byte wrong
	gate  func(ctx context.Context, off int64) error
}

func newMemory(size int64, whole bool) *memory {
	m := &memory{data: make([]byte, size), whole: whole, given: make([]int, size/BlockSize+1)}
	var seed [32]byte
	seed[0] = byte(size)
	rand.NewChaCha8(seed).Read(m.data)
	return m
}

func (m *memory) Open(ctx context.Context, off, n int64) (Stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.fail) > 0 {
		err := m.fail[0]
		m.fail = m.fail[1:]
		if err != nil {
			return Stream{}, err
		}
	}
	m.opens++
	start, end := off, min(off+n, int64(len(m.data)))
	if m.whole {
		start, end = 0, int64(len(m.data))
	}
	b := &memoryBody{m: m, ctx: ctx, off: start, end: end, cut: -1, spoil: -1}
	if m.spoil > 0 {
		m.spoil--
		b.spoil = start
	}
	if m.cut > 0 {
		b.cut, m.cut = start+m.cut, 0
	}
	return Stream{Body: b, Start: start, End: end}, nil
}

type memoryBody struct {
	m             *memory
	ctx           context.Context
	off, end, cut int64
	spoil         int64 // offset of a wrong byte, or -1
}

var errCut = errors.New("connection reset")

func (b *memoryBody) Read(p []byte) (int, error) {
	b.m.mu.Lock()
	gate := b.m.gate
	b.m.mu.Unlock()
	if gate != nil {
		if err := gate(b.ctx, b.off); err != nil {
			return 0, err
		}
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.off == b.end {
		return 0, io.EOF
	}
	end := b.end
	if b.cut >= 0 {
		end = min(end, b.cut)
	}
	if b.off == end {
		return 0, errCut
	}
	n := copy(p, b.m.data[b.off:end])
	if b.off == b.spoil {
		p[0] ^= 1
	}
	b.m.mu.Lock()
	if b.off%BlockSize == 0 {
		b.m.given[b.off/BlockSize]++
	}
	b.m.mu.Unlock()
	b.off += int64(n)
	return n, nil
}

func (b *memoryBody) Close() error { return nil }

// most is how often the block given most often was given.
func (m *memory) most() (most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.given {
		most = max(most, n)
	}
	return most
}

func (m *memory) opened() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opens
}

// open opens a store with nothing in it, for as long as the test lasts.
func open(t testing.TB, size int64, timeout time.Duration) *Store {
	t.Helper()
	s := openIn(t, t.TempDir(), size, timeout)
	t.Cleanup(func() { s.Close() })
	return s
}

// openIn opens the store in dir, which is for the caller to close.
func openIn(t testing.TB, dir string, size int64, timeout time.Duration) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir, Size: size, Timeout: timeout, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func blob(t testing.TB, s *Store, src *memory) *Blob {
	t.Helper()
	b, err := s.Blob("blob", int64(len(src.data)), src.digest, src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// rest returns when b has no run any more: readers are served before all is on disk.
func rest(b *Blob) {
	for busy := true; busy; time.Sleep(time.Millisecond) {
		b.store.mu.Lock()
		busy = len(b.runs) > 0
		b.store.mu.Unlock()
	}
}

// check reads [off, off+n) and compares.
func check(t testing.TB, b *Blob, src *memory, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	got, err := b.ReadAt(context.Background(), p, off)
	if err != nil && err != io.EOF {
		t.Errorf("read %d at %d: %v", n, off, err)
		return
	}
	want := src.data[off:min(off+n, int64(len(src.data)))]
	if !bytes.Equal(p[:got], want) {
		t.Errorf("read %d at %d: wrong bytes (%d of %d)", n, off, got, len(want))
	}
}
