package cache

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
)

// becomes waits until what is asked for is so.
func becomes(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so after 20s: ", what)
		}
	}
}

// Reads each of which is behind the last, of a blob that the cache is too small for
// and that comes as a whole only, leave a few streams behind, not one each.
func TestIdleWholeStreams(t *testing.T) {
	src := newMemory(64<<20, true)
	s := open(t, 8<<20, time.Minute)
	b := blob(t, s, src)
	for off := int64(56 << 20); off >= 0; off -= 7 << 20 {
		check(t, b, src, off, 1)
	}
	if n := src.opened(); n < 2*maxIdleWhole {
		t.Fatalf("only %d streams", n)
	}
	becomes(t, "a few streams are left", func() bool { return s.Stats().Runs <= maxIdleWhole })
}

// A stream that nobody waits for, because it is ahead of its readers, makes way for
// one that somebody waits for.
func TestIdleStreamMakesWay(t *testing.T) {
	s := open(t, 8<<20, 5*time.Second)
	s.slots = semaphore.NewWeighted(1)
	src := newMemory(24<<20, true)
	check(t, blob(t, s, src), src, 0, 1)
	becomes(t, "it is ahead", func() bool { return s.Stats().Fetched >= 4<<20 })
	other := newMemory(1<<20, false)
	b, err := s.Blob("other", int64(len(other.data)), other.digest, other)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	check(t, b, other, 0, 1<<20)
}

// Who waits for a stream that is never to be had is told of that.
func TestNoStreamLeft(t *testing.T) {
	s := open(t, 8<<20, time.Second)
	s.slots = semaphore.NewWeighted(0)
	_, err := blob(t, s, newMemory(1<<20, false)).ReadAt(t.Context(), make([]byte, 1), 0)
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, errTaken) {
		t.Error(err)
	}
}

// Of a blob that comes as a whole only the rest comes too once half was read, lest
// a slow reader has it all come again.
func TestHalfOfAWholeStream(t *testing.T) {
	src := newMemory(2*wholeAhead+20<<20, true)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	check(t, b, src, 0, 1)
	becomes(t, "it is ahead", func() bool { return b.Cached() > wholeAhead-BlockSize })
	check(t, b, src, b.Size()/2, 1)
	becomes(t, "all has come", func() bool { return b.Cached() == b.Size() })
	if n := src.opened(); n != 1 {
		t.Errorf("%d streams", n)
	}
}
