package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
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
	s.places = semaphore.NewWeighted(1)
	ahead(t, s, newMemory(24<<20, true))
	src := newMemory(1<<20, false)
	check(t, blob(t, s, src), src, 0, 1<<20)
}

// ahead has a stream of a blob opened that comes as a whole only, and returns when it
// has a place and is so far ahead of its reader that it stands still.
func ahead(t *testing.T, s *Store, src *memory) {
	t.Helper()
	b, err := s.Blob("ahead", int64(len(src.data)), src.digest, src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	check(t, b, src, 0, 1)
	becomes(t, "it is ahead", func() bool { return s.Stats().Fetched >= 4<<20 })
}

// A stream makes way too if it is only later that nobody waits for it.
func TestStreamMakesWayOnceIdle(t *testing.T) {
	s := open(t, 8<<20, 4*time.Second)
	s.places = semaphore.NewWeighted(1)
	held, src := newMemory(24<<20, true), newMemory(1<<20, false)
	asked, answer := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(asked) })
	held.gate = func(context.Context, int64) error {
		begun()
		<-answer
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { ahead(t, s, held) })
	<-asked
	b := blob(t, s, src)
	wg.Go(func() { check(t, b, src, 0, 1<<20) })
	becomes(t, "another waits", func() bool { return waiting(b) == 1 })
	close(answer)
	wg.Wait()
}

// It is one with a place that makes way, and not one that nobody waits for either, which
// is to try again.
func TestOnlyOpenStreamsMakeWay(t *testing.T) {
	s := open(t, 8<<20, 4*time.Second)
	s.places = semaphore.NewWeighted(1)
	failing := newMemory(1<<20, false)
	failing.fail = slices.Repeat([]error{errCut}, 1000)
	b, err := s.Blob("failing", int64(len(failing.data)), failing.digest, failing)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { b.ReadAt(ctx, make([]byte, 1), 0) })
	becomes(t, "it fails", func() bool { return s.Stats().Broken > 0 })
	cancel()
	wg.Wait()
	ahead(t, s, newMemory(24<<20, true))
	src := newMemory(1<<20, false)
	check(t, blob(t, s, src), src, 0, 1<<20)
}

// Who waits for a stream that is never to be had is told of that.
func TestNoStreamLeft(t *testing.T) {
	s := open(t, 8<<20, time.Second)
	s.places = semaphore.NewWeighted(0)
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
