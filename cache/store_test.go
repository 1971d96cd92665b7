package cache

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
)

func TestTimeout(t *testing.T) {
	src := newMemory(1<<20, false)
	cause := errors.New("no route to host")
	for range 1000 {
		src.fail = append(src.fail, cause)
	}
	b := blob(t, open(t, 1<<30, 500*time.Millisecond), src)
	_, err := b.ReadAt(context.Background(), make([]byte, 10), 0)
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, cause) {
		t.Errorf("got %v, want a timeout with its cause", err)
	}
}

// A permanent error reaches everybody who waits, and is not remembered.
func TestPermanentError(t *testing.T) {
	src := newMemory(1<<20, false)
	src.fail = []error{backoff.Permanent(fs.ErrNotExist)}
	b := blob(t, open(t, 1<<30, time.Minute), src)
	if _, err := b.ReadAt(context.Background(), make([]byte, 10), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	check(t, b, src, 0, 10)
}

func TestBusyDirectory(t *testing.T) {
	c := Config{Dir: t.TempDir(), Size: minSize, Log: slog.New(slog.DiscardHandler)}
	first, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c); !errors.Is(err, ErrBusy) {
		t.Errorf("second store: %v", err)
	}
	first.Close()
	second, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

func TestClosedStore(t *testing.T) {
	src := newMemory(1<<20, false)
	src.gate = func(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	done := make(chan error)
	go func() {
		_, err := b.ReadAt(context.Background(), make([]byte, 10), 0)
		done <- err
	}()
	becomes(t, "a stream is open", func() bool { return src.opened() > 0 })
	s.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// A store that is closed leaves the directory alone, which another one has by then.
func TestClosedStoreLeavesTheNext(t *testing.T) {
	dir, src := t.TempDir(), newMemory(BlockSize, false)
	c := Config{Dir: dir, Size: 1 << 30, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
	first, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	old := blob(t, first, src)
	first.Close()
	if left, err := os.ReadDir(first.dir); err != nil || len(left) > 0 {
		t.Errorf("a blob of which nothing is here leaves %v, %v", left, err)
	}
	session(t, dir, src, func(_ *Store, b *Blob) {
		check(t, b, src, 0, BlockSize)
		rest(b)
		old.Close()
		first.MakeRoom()
	})
	opened := src.opened()
	session(t, dir, src, func(_ *Store, b *Blob) { check(t, b, src, 0, BlockSize) })
	if src.opened() != opened {
		t.Error("what the next store has fetched is gone")
	}
}
