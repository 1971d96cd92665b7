package cache

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"
)

// elsewhere opens the file of the blob of src as the kernel does that reads it by
// itself, and returns what reads it and compares.
func elsewhere(t *testing.T, s *Store, src *memory) (file *os.File, same func()) {
	t.Helper()
	file, err := os.Open(s.path("blob") + dataSuffix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, func() {
		t.Helper()
		got, err := io.ReadAll(io.NewSectionReader(file, 0, int64(len(src.data))))
		if err != nil || !bytes.Equal(got, src.data) {
			t.Errorf("%d bytes are read of %d, or other ones (%v)", len(got), len(src.data), err)
		}
	}
}

// What is open elsewhere is not evicted, whether the blob is in use or was left by an
// earlier store; once it is closed it is.
func TestOpenElsewhereStays(t *testing.T) {
	dir, src := t.TempDir(), newMemory(2*ExtentSize, false)
	c := Config{Dir: dir, Size: 1 << 30, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
	for name, use := range map[string]func(*testing.T, *Store){
		"left":   func(*testing.T, *Store) {},
		"in use": func(t *testing.T, s *Store) { check(t, blob(t, s, src), src, 0, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			session(t, dir, src, func(_ *Store, b *Blob) {
				check(t, b, src, 0, b.Size())
				rest(b)
			})
			s, err := Open(c)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			use(t, s)
			file, same := elsewhere(t, s, src)
			s.mu.Lock()
			s.room.size = 0
			s.mu.Unlock()
			if n := s.MakeRoom(); n != 0 {
				t.Errorf("%d bytes made way", n)
			}
			same()
			file.Close()
			time.Sleep(elsewhereFor)
			s.MakeRoom()
			if n := s.Stats().Used; n != 0 {
				t.Errorf("%d bytes are still there", n)
			}
		})
	}
}

// A file whose index is damaged is begun anew, and who has it open keeps what it was.
func TestDamagedElsewhereStays(t *testing.T) {
	dir, src := t.TempDir(), newMemory(ExtentSize, false)
	fill := func(s *Store, b *Blob) {
		check(t, b, src, 0, b.Size())
		rest(b)
	}
	session(t, dir, src, fill)
	s := openIn(t, dir, 1<<30, time.Minute)
	_, same := elsewhere(t, s, src)
	index := s.path("blob") + indexSuffix
	if err := errors.Join(s.Close(), os.WriteFile(index, []byte("damaged"), 0o600)); err != nil {
		t.Fatal(err)
	}
	session(t, dir, src, func(s *Store, b *Blob) {
		check(t, b, src, 0, 1)
		same()
		fill(s, b)
	})
	clear(src.given)
	session(t, dir, src, fill)
	if slices.Max(src.given) > 0 {
		t.Error("what was begun anew is not kept")
	}
}

// Where a lease is refused whoever has the file open, the cache keeps to its size.
func TestLeaseTellsNothing(t *testing.T) {
	src := newMemory(2*ExtentSize, false)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	check(t, b, src, 0, b.Size())
	rest(b)
	s.remote = true
	elsewhere(t, s, src)
	evictAll(s)
	if n := b.Cached(); n != 0 {
		t.Errorf("%d bytes are still there", n)
	}
}
