package cache

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// A spoiled block is fetched once more, however many find out.
func TestSpoiledIsFetchedOnce(t *testing.T) {
	src := digested(8 * BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	check(t, b, src, 0, b.Size())
	rest(b)
	f, err := os.OpenFile(s.path("blob")+dataSuffix, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 100 {
		clear(src.given)
		f.WriteAt([]byte{src.data[0] ^ 1}, 0)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() { check(t, b, src, 0, b.Size()) })
		}
		all.Wait()
		rest(b)
		if most := src.most(); most > 1 {
			t.Fatalf("round %d: a block was fetched %d times", i, most)
		}
	}
}

// A blob is not verified from what is in memory while the file has yet to get it: the
// file is what is given out.
func TestVerifyWaitsForTheFile(t *testing.T) {
	src := digested(3 * BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	if err := s.hashing.Acquire(bound(t), 1); err != nil { // the check waits
		t.Fatal(err)
	}
	check(t, b, src, 0, b.Size())
	checking := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return b.checking
	}
	becomes(t, "it is to be checked", checking)
	s.mu.Lock()
	b.writing++ // as of a block that has come anew since
	s.mu.Unlock()
	s.hashing.Release(1)
	becomes(t, "there was no check", func() bool { return !checking() })
	if v := b.Verification(); v != Unverified {
		t.Errorf("verification %d of what is not in the file yet", v)
	}
	s.mu.Lock()
	b.writing--
	b.consider()
	s.mu.Unlock()
	if v := settle(t, b); v != Verified {
		t.Errorf("verification %d once it is", v)
	}
}

// Who reads what cannot be had again and again does not fill the log.
func TestUnavailableIsLoggedOnce(t *testing.T) {
	src := newMemory(3*BlockSize, false)
	src.fail = slices.Repeat([]error{backoff.Permanent(errCut)}, 10)
	s := open(t, 1<<30, time.Minute)
	var log bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	b := blob(t, s, src)
	for range 5 {
		if _, err := b.ReadAt(bound(t), make([]byte, 1), 0); !errors.Is(err, errCut) {
			t.Error(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := strings.Count(log.String(), "not available"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// lengthen writes behind the end of the data file of the blob of src.
func lengthen(t testing.TB, s *Store, src *memory) {
	t.Helper()
	f, err := os.OpenFile(s.path("blob")+dataSuffix, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("more"), int64(len(src.data)))
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// completes returns when the file of b is Complete, which is as long as b then.
func completes(t *testing.T, b *Blob) {
	t.Helper()
	var data *os.File
	becomes(t, "it is complete", func() (ok bool) {
		data, ok = b.Complete()
		return ok
	})
	defer b.Release()
	if info, err := data.Stat(); err != nil || info.Size() != b.Size() {
		t.Errorf("a file of %d bytes, %v", info.Size(), err)
	}
}

// What somebody has written behind the end of a blob is not given out as a part of it.
func TestFileTooLong(t *testing.T) {
	dir, src := t.TempDir(), digested(ExtentSize+5)
	for range 2 {
		session(t, dir, src, func(s *Store, b *Blob) {
			check(t, b, src, 0, b.Size())
			settle(t, b)
			lengthen(t, s, src)
			completes(t, b)
			lengthen(t, s, src) // for the next one
		})
	}
}

// Nor is it when that happens while the blob is checked, at whatever point of that.
func TestFileTooLongMeanwhile(t *testing.T) {
	src := digested(BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	check(t, b, src, 0, b.Size())
	for range 500 {
		completes(t, b)
		b.Recheck()
		lengthen(t, s, src)
	}
}
