package cache

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel drives a store against the bytes themselves: whatever is read,
// evicted, cut, restarted and spoiled, in any order, reads are right, and
// nothing is fetched twice that was not lost.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "glancefs-model")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		size := rapid.Int64Range(1, 3*ExtentSize).Draw(t, "size")
		src := digested(size)
		src.whole = rapid.Bool().Draw(t, "whole")
		m := &model{t: t, dir: dir, src: src}
		m.start()
		defer m.stop()
		t.Repeat(map[string]func(*rapid.T){
			"read":    m.read,
			"cut":     m.cut,
			"evict":   m.evict,
			"restart": m.restart,
			"spoil":   m.spoil,
			"":        m.check,
		})
	})
}

type model struct {
	t    *rapid.T
	dir  string
	src  *memory
	s    *Store
	b    *Blob
	lost bool // blocks may have been lost, so that fetching again is right
}

func (m *model) start() {
	var err error
	m.s, err = Open(Config{Dir: m.dir, Size: 1 << 30, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		m.b, err = m.s.Blob("blob", int64(len(m.src.data)), m.src.digest, m.src)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) stop() {
	m.b.Close()
	m.s.Close()
}

func (m *model) read(t *rapid.T) {
	off := rapid.Int64Range(0, m.b.Size()-1).Draw(t, "off")
	p := make([]byte, rapid.Int64Range(1, 1<<20).Draw(t, "n"))
	n, err := m.b.ReadAt(context.Background(), p, off)
	if err != nil && err != io.EOF {
		t.Fatalf("read %d at %d: %v", len(p), off, err)
	}
	want := m.src.data[off:min(off+int64(len(p)), m.b.Size())]
	if string(p[:n]) != string(want) {
		t.Fatalf("read %d at %d: wrong bytes", len(p), off)
	}
}

// cut breaks the next stream.
func (m *model) cut(t *rapid.T) {
	m.src.mu.Lock()
	defer m.src.mu.Unlock()
	m.src.cut = rapid.Int64Range(1, 200_000).Draw(t, "after")
	m.lost = true // what was on its way in a block comes again
}

// evict makes room for a while for nothing.
func (m *model) evict(*rapid.T) {
	evictAll(m.s)
	m.lost = true
}

// restart lets runs come to their end first: what they have of a block when they
// are cut is fetched again.
func (m *model) restart(*rapid.T) {
	for m.s.Stats().Runs > 0 {
		time.Sleep(time.Millisecond)
	}
	m.stop()
	m.start()
}

// spoil flips a bit of the data file.
func (m *model) spoil(t *rapid.T) {
	f, err := os.OpenFile(m.s.path("blob")+dataSuffix, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	off := rapid.Int64Range(0, m.b.Size()-1).Draw(t, "byte")
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err == nil {
		b[0] ^= 1
		f.WriteAt(b[:], off)
	}
	m.lost = true
}

func (m *model) check(t *rapid.T) {
	if most := m.src.most(); most > 1 && !m.lost {
		t.Fatalf("a block was fetched %d times", most)
	}
	m.s.mu.Lock() // both at one moment: a check in the background may be mending
	used, cached := m.s.room.used, m.b.cached
	m.s.mu.Unlock()
	if used != cached || cached > m.b.Size() {
		t.Fatalf("used %d, cached %d of %d", used, cached, m.b.Size())
	}
}
