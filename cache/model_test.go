package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel drives a store against the bytes themselves: whatever is read,
// evicted, cut, restarted, spoiled and refused by the disk, in any order, reads are
// right, also of a file that the kernel was given, and nothing is fetched twice that was
// not lost.
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
		defer m.letGo(nil)
		t.Repeat(map[string]func(*rapid.T){
			"read":     m.read,
			"cut":      m.cut,
			"evict":    m.evict,
			"restart":  m.restart,
			"spoil":    m.spoil,
			"lengthen": m.lengthen,
			"hold":     m.hold,
			"let go":   m.letGo,
			"refuse":   m.refuse,
			"":         m.check,
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

	held *os.File // as the kernel has it that reads it by itself; nil if it has none
	away bool     // the disk lets no file be opened
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
	if m.away {
		m.refuse(nil)
	}
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

// hold has the kernel read the file, for longer than the store knows. What was done to
// the file during a check, several times, may have been too much for that, and a run goes
// on without a file that could not be opened when it began.
func (m *model) hold(t *rapid.T) {
	for busy := true; busy; time.Sleep(time.Millisecond) {
		m.s.mu.Lock()
		busy = m.b.checking || len(m.b.runs) > 0
		m.s.mu.Unlock()
	}
	if err := m.b.Verify(context.Background()); err != nil && !m.away {
		t.Fatal(err)
	}
	data, ok := m.b.Complete()
	if !ok {
		return
	}
	defer m.b.Release()
	if info, err := data.Stat(); err != nil || info.Size() != m.b.Size() {
		t.Fatalf("the kernel gets %d bytes (%v)", info.Size(), err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", data.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if m.held != nil {
		m.held.Close()
	}
	m.held = f
}

func (m *model) letGo(*rapid.T) {
	if m.held != nil {
		m.held.Close()
		m.held = nil
	}
}

// lengthen writes behind the end of the data file.
func (m *model) lengthen(t *rapid.T) {
	f, err := os.OpenFile(m.s.path("blob")+dataSuffix, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("more"), m.b.Size()); err != nil {
		t.Fatal(err)
	}
}

// refuse lets no file be opened until it is called again. Those that are open stay.
func (m *model) refuse(*rapid.T) {
	from, to := m.s.dir, m.s.dir+".away"
	if m.away {
		from, to = to, from
	}
	if err := os.Rename(from, to); err != nil {
		m.t.Fatal(err)
	}
	m.away, m.lost = !m.away, true
}

// spoil flips a bit of the data file.
func (m *model) spoil(t *rapid.T) {
	f, err := os.OpenFile(m.s.path("blob")+dataSuffix, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m.held != nil {
		return // the kernel would read that, whatever the store does
	}
	off := rapid.Int64Range(0, m.b.Size()-1).Draw(t, "byte")
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err == nil {
		b[0] ^= 1
		f.WriteAt(b[:], off)
	}
	m.lost = true
}

func (m *model) check(t *rapid.T) {
	if m.held != nil {
		got := make([]byte, m.b.Size())
		if n, err := m.held.ReadAt(got, 0); err != nil || !bytes.Equal(got, m.src.data) {
			t.Fatalf("the kernel reads %d bytes, not all of them right (%v)", n, err)
		}
	}
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
