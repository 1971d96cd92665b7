package ledger

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func memory(t interface{ Fatal(...any) }) *os.File {
	fd, err := unix.MemfdCreate("ledger", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "ledger")
}

// contents is what a process that opens a ledger finds.
func contents(t interface{ Fatal(...any) }, file *os.File) map[string]int {
	_, lines, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, l := range lines {
		found[fmt.Sprint(l.Kind, l.Num, l.Text)]++
	}
	return found
}

// TestLedger changes a ledger in all ways, and opens it at any time: it has what it
// should have, also once another process has gone on with it.
func TestLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file := memory(t)
		defer file.Close()
		l, lines, err := Open(file)
		if err != nil || len(lines) > 0 {
			t.Fatal(err, lines)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				text := strings.Repeat(rapid.StringN(0, 3, 9).Draw(t, "text"), rapid.IntRange(0, 60).Draw(t, "times"))
				add := &Line{Kind: uint8(rapid.IntRange(FirstKind, FirstKind+5).Draw(t, "kind")), Text: text}
				add.Num[0] = rapid.Uint64().Draw(t, "number")
				l.Add(add)
				lines = append(lines, add)
			},
			"update": func(t *rapid.T) {
				if len(lines) > 0 {
					r := rapid.SampledFrom(lines).Draw(t, "line")
					r.Num[5]++
					l.Update(r)
				}
			},
			"remove": func(t *rapid.T) {
				if len(lines) > 0 {
					i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
					l.Remove(lines[i])
					lines = append(lines[:i], lines[i+1:]...)
				}
			},
			"follow": func(t *rapid.T) {
				if l, lines, err = Open(file); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				want := make(map[string]int)
				for _, l := range lines {
					want[fmt.Sprint(l.Kind, l.Num, l.Text)]++
				}
				if got := contents(t, file); !maps.Equal(got, want) {
					t.Fatalf("found %v, want %v", got, want)
				}
			},
		})
	})
}

// TestLedgerTorn ends the writing of a line after each of its slots: it is there
// once all of it is.
func TestLedgerTorn(t *testing.T) {
	file := memory(t)
	defer file.Close()
	l, _, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	l.Add(&Line{Kind: FirstKind, Text: "one"})
	r := &Line{Kind: FirstKind, Text: strings.Repeat("two", 100)}
	for range 1 + (len(r.Text)-1)/slotText {
		r.slots = append(r.slots, l.take())
	}
	for i := len(r.slots) - 1; i > 0; i-- {
		l.put(r, i)
		if got := contents(t, file); len(got) != 1 {
			t.Errorf("with slots from the %dth on: %v", i, got)
		}
	}
	if next, _, err := Open(file); err != nil || len(next.free) != len(r.slots) {
		t.Errorf("who follows has free %v, %v", next.free, err)
	}
	l.put(r, 0)
	if got := contents(t, file); len(got) != 2 {
		t.Errorf("with all: %v", got)
	}
}

// TestLedgerFull has no memory for the end of a record whose beginning has a place:
// nothing of it is there, and everything else is.
func TestLedgerFull(t *testing.T) {
	fd, err := unix.MemfdCreate("ledger", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "ledger")
	defer file.Close()
	l, _, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	gone := &Line{Kind: FirstKind, Text: "gone"}
	l.Add(gone)
	l.Add(&Line{Kind: FirstKind, Text: "stays"})
	l.Remove(gone)
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := &Line{Kind: FirstKind, Text: strings.Repeat("long", 100)}
		if slot := l.Add(r); slot != 0 || len(r.slots) > 0 {
			t.Errorf("it is in slot %d, with %v", slot, r.slots)
		}
		if got := contents(t, file); len(got) != 1 {
			t.Errorf("found %v", got)
		}
	}
}

// TestLedgerBad gives what is no ledger.
func TestLedgerBad(t *testing.T) {
	loop := make([]byte, 3*slotSize)
	loop[slotSize], loop[slotSize+4] = FirstKind, 1
	far := make([]byte, 2*slotSize)
	far[slotSize], far[slotSize+4] = FirstKind, 200
	long := make([]byte, 2*slotSize)
	long[slotSize], long[slotSize+3] = FirstKind, 1
	for name, b := range map[string][]byte{"a loop": loop, "a way out": far, "too long a text": long, "half a slot": make([]byte, slotSize/2)} {
		path := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, _, err := Open(file); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
