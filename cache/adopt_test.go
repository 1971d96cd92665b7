package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// draft writes data to a file on the file system of dir, and returns it with
// its sums, which have seen it in pieces of many sizes.
func draft(t testing.TB, dir string, data []byte) (path string, sums *Sums) {
	t.Helper()
	path, sums = filepath.Join(dir, "draft"), &Sums{}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for r, n := bytes.NewReader(data), int64(1); r.Len() > 0; n = n*7%99_991 + 1 {
		if _, err := io.CopyN(sums, r, n); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	return path, sums
}

// TestAdopt: an adopted file is a whole, verified blob, now and after a restart,
// that asks its source for nothing.
func TestAdopt(t *testing.T) {
	for _, size := range []int64{1, BlockSize - 1, BlockSize, 3*ExtentSize + 5} {
		dir, src := t.TempDir(), digested(size)
		adopt := func(s *Store) {
			path, sums := draft(t, dir, src.data)
			if err := s.Adopt("blob", src.digest, path, sums); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
			if n := s.Held("blob"); n != size {
				t.Errorf("%d bytes held of %d", n, size)
			}
		}
		s := openIn(t, dir, 1<<30, time.Minute)
		adopt(s)
		s.runs.Wait() // until it is on the disk
		s.Close()
		for range 2 {
			session(t, dir, src, func(_ *Store, b *Blob) {
				if b.Verification() != Verified {
					t.Error("not verified")
				}
				check(t, b, src, 0, size)
				if _, ok := b.Complete(); !ok {
					t.Error("not complete")
				} else {
					b.Release()
				}
			})
		}
		if n := src.opened(); n != 0 {
			t.Errorf("the source was asked %d times", n)
		}
	}
}

// TestAdoptRefused: a file that is not adopted is left alone.
func TestAdoptRefused(t *testing.T) {
	src := digested(2 * minSize)
	s := open(t, minSize, time.Minute)
	path, sums := draft(t, filepath.Dir(s.dir), src.data)
	if err := s.Adopt("blob", src.digest, path, sums); !errors.Is(err, ErrLarger) {
		t.Errorf("larger than the cache: %v", err)
	}
	small := digested(BlockSize)
	b := blob(t, s, small)
	path, sums = draft(t, filepath.Dir(s.dir), small.data)
	if err := s.Adopt("blob", small.digest, path, sums); !errors.Is(err, ErrOpen) {
		t.Errorf("a blob in use: %v", err)
	}
	check(t, b, small, 0, BlockSize)
	s.Close()
	if err := s.Adopt("other", small.digest, path, sums); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed store: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, small.data) {
		t.Errorf("the file is changed (%v)", err)
	}
}

// TestAdoptEvicts: what is adopted counts, and makes room as what is fetched
// does.
func TestAdoptEvicts(t *testing.T) {
	s := open(t, minSize, time.Minute)
	old := newMemory(minSize/2, false)
	b := blob(t, s, old)
	check(t, b, old, 0, minSize/2)
	rest(b)
	src := digested(minSize)
	path, sums := draft(t, filepath.Dir(s.dir), src.data)
	if err := s.Adopt("adopted", src.digest, path, sums); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Used > minSize || s.Held("adopted") != minSize {
		t.Errorf("%d bytes used, %d of them adopted", st.Used, s.Held("adopted"))
	}
}

// TestAdoptReplaces: what an earlier store left of the blob does not get in the
// way, whatever it is.
func TestAdoptReplaces(t *testing.T) {
	dir, src := t.TempDir(), digested(ExtentSize+1)
	session(t, dir, src, func(_ *Store, b *Blob) { check(t, b, src, BlockSize, 3*BlockSize) })
	s := openIn(t, dir, 1<<30, time.Minute)
	defer s.Close()
	path, sums := draft(t, dir, src.data)
	if err := s.Adopt("blob", src.digest, path, sums); err != nil {
		t.Fatal(err)
	}
	opened := src.opened()
	check(t, blob(t, s, src), src, 0, ExtentSize+1)
	if used := s.Stats().Used; used != ExtentSize+1 || src.opened() != opened {
		t.Errorf("%d bytes used, %d streams", used, src.opened()-opened)
	}
}

// TestAdoptRace reads a blob while it is adopted: readers get its bytes, from
// wherever.
func TestAdoptRace(t *testing.T) {
	for range 20 {
		s, src := open(t, 1<<30, time.Minute), digested(5*BlockSize)
		path, sums := draft(t, filepath.Dir(s.dir), src.data)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				b, err := s.Blob("blob", int64(len(src.data)), src.digest, src)
				if err != nil {
					t.Error(err)
					return
				}
				defer b.Close()
				check(t, b, src, 0, 5*BlockSize)
				if err := b.Verify(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		if err := s.Adopt("blob", src.digest, path, sums); err != nil && !errors.Is(err, ErrOpen) {
			t.Error(err)
		}
		all.Wait()
	}
}
