package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// bound is a context that ends a test which would wait for ever.
func bound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// evictExtent takes an extent of b from the disk, when no run needs it any more.
func evictExtent(b *Blob, i int64) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.clear(b.extents[i])
}

// What is evicted while the rest is fetched is fetched again: nobody else would.
func TestVerifyFetchesAgainWhatWasEvicted(t *testing.T) {
	src := digested(ExtentSize + 2*BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	evicted := false
	src.gate = func(ctx context.Context, off int64) error {
		for !evicted && off > ExtentSize && ctx.Err() == nil {
			s.mu.Lock()
			if r := b.fetching.of(ExtentSize + BlockSize); r != nil && len(r.waiters) > 0 && r.waiters[0].until > ExtentSize {
				evicted = true // whoever waits has seen the first extent
				s.clear(b.extents[0])
			}
			s.mu.Unlock()
		}
		return nil
	}
	if err := b.Verify(bound(t)); err != nil {
		t.Error(err)
	}
	if !evicted {
		t.Error("nothing was evicted")
	}
	check(t, b, src, 0, b.Size())
}

// Who waits for a check that fails is told so.
func TestVerifyTellsWhyNot(t *testing.T) {
	src := digested(3 * BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	if err := s.hashing.Acquire(context.Background(), 1); err != nil { // the check waits
		t.Fatal(err)
	}
	check(t, b, src, 0, b.Size())
	rest(b)
	index := b.index
	readOnly, err := os.Open(index.Name())
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	b.index = readOnly
	s.mu.Unlock()
	got := make(chan error)
	go func() { got <- b.Verify(bound(t)) }()
	s.hashing.Release(1)
	if err := <-got; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a check that cannot write down what it found: %v", err)
	} else if why := b.NotVerified(); why == nil || why.Error() != err.Error() {
		t.Errorf("it was not verified because of %v; want %v", why, err)
	}
	s.mu.Lock()
	b.index = index
	s.mu.Unlock()
	readOnly.Close()
	if err := b.Verify(bound(t)); err != nil {
		t.Error(err)
	}
}

// A disk that takes nothing cannot have a whole blob, and that does not fetch it
// over and over.
func TestVerifyOnFullDisk(t *testing.T) {
	src := digested(3 * ExtentSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	data := b.data
	readOnly, err := os.Open(data.Name())
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	b.data = readOnly
	s.mu.Unlock()
	if err := b.Verify(bound(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("verify: %v", err)
	}
	rest(b)
	s.mu.Lock()
	b.data = data
	s.mu.Unlock()
	readOnly.Close()
	if err := b.Verify(bound(t)); err != nil {
		t.Error(err)
	}
}

func TestVerifyEndsWithTheStore(t *testing.T) {
	src := digested(3 * BlockSize)
	asked := make(chan struct{}, 1)
	src.gate = func(ctx context.Context, _ int64) error {
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	got := make(chan error)
	go func() { got <- b.Verify(bound(t)) }()
	<-asked
	s.Close()
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("verify: %v", err)
	}
}

// What takes the place of evicted bytes was not compared yet.
func TestEvictedIsNotVerified(t *testing.T) {
	src := digested(2 * ExtentSize)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	if err := b.Verify(bound(t)); err != nil {
		t.Fatal(err)
	}
	rest(b)
	evictExtent(b, 0)
	if b.Verification() == Verified {
		t.Error("a blob that is not whole is verified")
	}
	src.spoil = 1
	if err := b.Verify(bound(t)); err != nil {
		t.Error(err)
	}
	check(t, b, src, 0, b.Size())
}

// A blob that matched between two faults on the way is not one whose source is
// wrong.
func TestMismatchesInARow(t *testing.T) {
	src := digested(2 * ExtentSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	for i := range 3 {
		src.mu.Lock()
		src.spoil = 1
		src.mu.Unlock()
		if err := b.Verify(bound(t)); err != nil {
			t.Fatalf("fault %d: %v", i+1, err)
		}
		if wrong := s.Mismatches(); len(wrong) > 0 {
			t.Errorf("fault %d: %q is told to be wrong", i+1, wrong)
		}
		rest(b)
		evictExtent(b, 0)
	}
}

// A blob of which nothing is left in the cache is judged anew, though it is open:
// the source may have been mended.
func TestMismatchEndsWithTheBytes(t *testing.T) {
	src := digested(3 * BlockSize)
	src.spoil = maxMismatches
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	if err := b.Verify(bound(t)); !errors.Is(err, ErrMismatch) {
		t.Fatalf("verify: %v", err)
	}
	rest(b)
	evictExtent(b, 0)
	if err := b.Verify(bound(t)); err != nil {
		t.Errorf("after the source was mended: %v", err)
	}
	if wrong := s.Mismatches(); len(wrong) > 0 {
		t.Errorf("%q is told to be wrong", wrong)
	}
}

// TestRecheck: what was found of a blob is found anew when that is asked for. It costs
// one fetch of what did not match.
func TestRecheck(t *testing.T) {
	src := digested(3 * BlockSize)
	src.spoil = maxMismatches + 1
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	for range 2 {
		if err := b.Verify(bound(t)); !errors.Is(err, ErrMismatch) || !errors.Is(b.NotVerified(), ErrMismatch) {
			t.Fatalf("verify: %v, and then %v", err, b.NotVerified())
		}
		rest(b)
		b.Recheck()
	}
	for range 2 {
		if err := b.Verify(bound(t)); err != nil || b.NotVerified() != nil {
			t.Fatalf("after the source was mended: %v, and then %v", err, b.NotVerified())
		}
		rest(b)
		b.Recheck()
	}
	check(t, b, src, 0, b.Size())
	if n := s.Stats().Fetched; n != (maxMismatches+2)*b.Size() {
		t.Errorf("%d bytes of %d were fetched", n, b.Size())
	}
}

// Who reads the file by itself gets no holes when what took the place of a spoiled
// block is wrong too.
func TestFileInUseIsNotPunched(t *testing.T) {
	src := digested(3 * BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	if err := b.Verify(bound(t)); err != nil {
		t.Fatal(err)
	}
	rest(b)
	f, ok := b.Complete()
	if !ok {
		t.Fatal("not complete")
	}
	defer b.Release()
	w, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.WriteAt([]byte{src.data[0] ^ 1}, 0)
	src.mu.Lock()
	src.spoil = 1
	src.mu.Unlock()
	if _, err := b.ReadAt(bound(t), make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	rest(b)
	becomes(t, "it does not match", func() bool { return b.Mismatches() > 0 })
	got, err := io.ReadAll(io.NewSectionReader(f, BlockSize, 2*BlockSize))
	if err != nil || !bytes.Equal(got, src.data[BlockSize:]) {
		t.Errorf("the file in use has other bytes than it had: %v", err)
	}
	check(t, b, src, 0, b.Size())
	if err := b.Verify(bound(t)); err != nil {
		t.Error(err)
	}
	got, err = io.ReadAll(io.NewSectionReader(f, 0, b.Size()))
	if err != nil || !bytes.Equal(got, src.data) {
		t.Errorf("the file is not mended: %v", err)
	}
}

// A check that cannot mend what it finds spoiled tells so.
func TestVerifyCannotMend(t *testing.T) {
	dir, src := t.TempDir(), digested(3*BlockSize)
	session(t, dir, src, func(s *Store, b *Blob) {
		if err := b.Verify(bound(t)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(s.path("blob")+dataSuffix, 3*BlockSize-1); err != nil {
			t.Fatal(err)
		}
	})
	gone := errors.New("gone")
	for range 10 {
		src.fail = append(src.fail, backoff.Permanent(gone))
	}
	session(t, dir, src, func(_ *Store, b *Blob) {
		if err := b.Verify(bound(t)); !errors.Is(err, gone) {
			t.Errorf("verify: %v", err)
		}
	})
}
