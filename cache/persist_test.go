package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// digested is newMemory with the digest of its data.
func digested(size int64) *memory {
	m := newMemory(size, false)
	sum := sha256.Sum256(m.data)
	m.digest = Digest{"sha256", hex.EncodeToString(sum[:])}
	return m
}

// session opens the store in dir for as long as do takes.
func session(t testing.TB, dir string, src *memory, do func(*Store, *Blob)) {
	t.Helper()
	s := openIn(t, dir, 1<<30, time.Minute)
	defer s.Close()
	b, err := s.Blob("blob", int64(len(src.data)), src.digest, src)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	do(s, b)
}

// settle waits until b is Verified or Mismatched.
func settle(t testing.TB, b *Blob) Verification {
	t.Helper()
	for late := time.After(time.Minute); ; {
		b.store.mu.Lock()
		state, verdict := b.state, b.verdict
		b.store.mu.Unlock()
		if state != Unverified {
			return state
		}
		select {
		case <-verdict.come:
		case <-late:
			t.Fatal("not verified after a minute")
		}
	}
}

func TestReopenedStoreFetchesNothing(t *testing.T) {
	dir, src := t.TempDir(), digested(10<<20+77)
	session(t, dir, src, func(_ *Store, b *Blob) {
		check(t, b, src, 0, b.Size())
		if v := settle(t, b); v != Verified {
			t.Errorf("verification %d", v)
		}
	})
	src.opens = 0
	session(t, dir, src, func(s *Store, b *Blob) {
		if used := s.Stats().Used; used != b.Size() {
			t.Errorf("used %d of %d", used, b.Size())
		}
		f, ok := b.Complete()
		if !ok {
			t.Fatal("a verified blob is not complete after a restart")
		}
		got, err := io.ReadAll(io.NewSectionReader(f, 0, b.Size()))
		if err != nil || !bytes.Equal(got, src.data) {
			t.Errorf("the file has other bytes: %v", err)
		}
		b.Release()
		check(t, b, src, 0, b.Size())
	})
	if src.opens != 0 {
		t.Errorf("%d streams", src.opens)
	}
}

// What a later store does not open is evicted first, a part at a time.
func TestLeftoversAreEvictedFirst(t *testing.T) {
	dir, old := t.TempDir(), newMemory(2*leftoverCut, false)
	session(t, dir, old, func(_ *Store, b *Blob) { check(t, b, old, 0, b.Size()) })
	s := openIn(t, dir, leftoverCut+4*ExtentSize, time.Minute)
	defer s.Close()
	src := newMemory(2*ExtentSize, false)
	b, err := s.Blob("new", int64(len(src.data)), Digest{}, src)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	check(t, b, src, 0, b.Size())
	rest(b)
	if got, limit := disk(t, s), int64(leftoverCut+4*ExtentSize); got > limit+ExtentSize {
		t.Errorf("%d bytes on disk, budget %d", got, limit)
	}
	kept, err := s.Blob("blob", int64(len(old.data)), Digest{}, old)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if kept.Cached() != leftoverCut {
		t.Errorf("%d bytes of the leftover are left, want %d", kept.Cached(), leftoverCut)
	}
	old.opens = 0
	check(t, kept, old, 0, 10*BlockSize)
	if old.opens != 0 {
		t.Error("the start of the leftover was fetched again")
	}
}

// A byte flipped while the store is open is not served either.
func TestFlippedWhileOpen(t *testing.T) {
	src := digested(8 * BlockSize)
	session(t, t.TempDir(), src, func(s *Store, b *Blob) {
		check(t, b, src, 0, b.Size())
		settle(t, b)
		f, err := os.OpenFile(s.path("blob")+dataSuffix, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.WriteAt([]byte{src.data[3*BlockSize+5] ^ 1}, 3*BlockSize+5)
		if _, ok := b.Complete(); ok {
			t.Error("a file that was written to since is still given out as verified")
		}
		check(t, b, src, 3*BlockSize, 10)
		if st := s.Stats(); st.Corrupt == 0 {
			t.Error("the spoiled block was not counted")
		}
		if v := settle(t, b); v != Verified {
			t.Errorf("verification after mending: %d", v)
		}
		if _, ok := b.Complete(); !ok {
			t.Error("not complete after mending")
		}
		b.Release()
	})
}

// A source that sends other bytes than the digest is of.
func TestMismatch(t *testing.T) {
	src := digested(3 * BlockSize)
	src.digest.Value = hex.EncodeToString(make([]byte, 32))
	session(t, t.TempDir(), src, func(s *Store, b *Blob) {
		if err := b.Verify(context.Background()); !errors.Is(err, ErrMismatch) {
			t.Errorf("verify: %v", err)
		}
		if _, ok := b.Complete(); ok || b.Verification() != Mismatched {
			t.Error("a blob that does not match is given out as verified")
		}
		check(t, b, src, 0, b.Size()) // what the source sends is what there is
		if n := s.Stats().Mismatched; n != maxMismatches || src.most() != maxMismatches {
			t.Errorf("%d mismatches, blocks fetched %d times, want %d", n, src.most(), maxMismatches)
		}
	})
}

// A block that the disk did not take is a hole in the file, although readers have
// it from memory.
func TestHoleIsNotComplete(t *testing.T) {
	src := digested(3 * BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	s.mu.Lock()
	e := b.pin(0)
	e.distrusted = true
	s.mu.Unlock()
	check(t, b, src, 0, b.Size())
	if err := b.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	if _, ok := b.Complete(); ok {
		t.Error("complete without its bytes on disk")
	}
	rest(b) // runs need the extent too
	s.mu.Lock()
	e.distrusted = false
	e.unpin()
	s.mu.Unlock()
	check(t, b, src, 0, b.Size())
	if err := b.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	if _, ok := b.Complete(); !ok {
		t.Error("not complete with all its bytes on disk")
	}
	b.Release()
}

// Bytes that were spoiled on the way once are fetched anew, and match then.
func TestMismatchOnTheWay(t *testing.T) {
	src := digested(3 * BlockSize)
	src.spoil = 1
	session(t, t.TempDir(), src, func(s *Store, b *Blob) {
		if err := b.Verify(context.Background()); err != nil {
			t.Error(err)
		}
		check(t, b, src, 0, b.Size())
		if n := s.Stats().Mismatched; n != 1 {
			t.Errorf("%d mismatches", n)
		}
	})
}

func TestVerifyWithoutDigest(t *testing.T) {
	src := newMemory(BlockSize, false)
	session(t, t.TempDir(), src, func(_ *Store, b *Blob) {
		if err := b.Verify(context.Background()); !errors.Is(err, ErrNoDigest) {
			t.Errorf("got %v", err)
		}
	})
}

// What did not match is gone at once, and it is not told of what has come in its place
// that it did not: who waits for a verdict would believe it.
func TestMismatchIsDroppedAtOnce(t *testing.T) {
	for range 20 {
		src := digested(2 * ExtentSize)
		src.spoil = 1
		b := blob(t, open(t, 1<<30, time.Minute), src)
		verified := make(chan error)
		go func() { verified <- b.Verify(bound(t)) }()
		for waiting := true; waiting; {
			select {
			case err := <-verified:
				if err != nil {
					t.Error(err)
				}
				waiting = false
			default:
			}
			b.store.mu.Lock()
			if b.cached == b.size && b.why != nil {
				t.Errorf("all of it is here, and %v", b.why)
			}
			b.store.mu.Unlock()
		}
	}
}

func FuzzIndex(f *testing.F) {
	h := header{"key", 3 * BlockSize, Digest{"sha256", "00"}}
	good, err := h.encode()
	if err != nil {
		f.Fatal(err)
	}
	good = append(good, make([]byte, recordsAt-headerSize)...)
	r := record(h.key.salt(), 0, 42)
	f.Add(append(good, r[:]...))
	f.Add(good[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := h.encode()
		if err != nil || !bytes.Equal(again, b[:headerSize]) {
			t.Errorf("header %+v is encoded otherwise: %v", h, err)
		}
		if h.size > 1<<40 {
			return
		}
		readRecords(bytes.NewReader(b), h, func(blocks []found) {
			for _, f := range blocks {
				if f.block < 0 || f.block*BlockSize >= h.size {
					t.Errorf("block %d of %d bytes", f.block, h.size)
				}
			}
		})
	})
}

func BenchmarkOpen10000(b *testing.B) {
	dir := b.TempDir()
	s := openIn(b, dir, 1<<40, 0)
	s.Close()
	for i := range 10000 {
		path := s.path(Key(fmt.Sprint(i)))
		head, _ := header{Key(fmt.Sprint(i)), 100 << 20, Digest{}}.encode()
		err := errors.Join(os.WriteFile(path+indexSuffix, head, 0o600), os.WriteFile(path+dataSuffix, nil, 0o600), os.Truncate(path+dataSuffix, 100<<20))
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		openIn(b, dir, 1<<40, 0).Close()
	}
}
