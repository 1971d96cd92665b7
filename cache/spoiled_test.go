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
