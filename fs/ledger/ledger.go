// Package ledger is the memory of a mount that outlives the process which serves it:
// records, in a file in memory that the next process is given.
package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// A Ledger is what the next process that serves the mount has to know of this
// one: records in a file in memory that outlives this process, however it ends.
// Each record is there as it was or as it is, at any moment: a record is put
// together in slots that nothing leads to yet, and each write is of one slot,
// within a page, which the kernel copies without looking for signals.
//
// The nil Ledger is of a process that nobody follows.
type Ledger struct {
	mu   sync.Mutex
	file *os.File
	free []uint32 // slots that were used
	end  uint32   // the first that never was
}

// What a slot is. From FirstKind on it is the first one of a record, of a kind that
// who writes it knows.
const (
	free = iota
	more // the next slot of a record of any kind
	FirstKind
)

// A Line is one record.
type Line struct {
	Kind  uint8 // from FirstKind on
	Num   [6]uint64
	Text  string
	slots []uint32 // where it is, once it is written
}

// Slot is where a record begins, once it is written.
func (r *Line) Slot() uint32 { return r.slots[0] }

// A slot is, in bytes: the kind (1), one that is not used (1), how much text there
// is in it (2) and in which slot it goes on, or 0 (4), the numbers (48), text.
const (
	slotSize = 128
	slotText = slotSize - 56
)

// maxSlots bounds the file: 128 MiB, which are as many nodes as an ls -lR of some
// hundred thousand images leaves with the kernel. What does not fit is not found
// again.
const maxSlots = 1 << 20

// Add writes a new record, and returns in which slot it begins, 0 if there is none.
func (l *Ledger) Add(r *Line) uint32 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 1 + max(0, len(r.Text)-1)/slotText
	if int(l.end)+n-len(l.free) > maxSlots {
		return 0
	}
	for range n {
		r.slots = append(r.slots, l.take())
	}
	for i := n - 1; i >= 0; i-- {
		if err := l.put(r, i); err != nil { // nothing leads to those behind it
			l.free = append(l.free, r.slots...)
			r.slots = nil
			return 0
		}
	}
	return r.slots[0]
}

// Count writes the second number of a record anew, which begins in a slot.
func (l *Ledger) Count(slot uint32, n uint64) {
	if l == nil || slot == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.file.WriteAt(binary.LittleEndian.AppendUint64(nil, n), int64(slot)*slotSize+16)
}

// RemoveAt takes the record out that begins in a slot.
func (l *Ledger) RemoveAt(slot uint32) {
	if l == nil || slot == 0 {
		return
	}
	r := &Line{}
	for next := slot; next != 0; {
		var b [8]byte
		if _, err := l.file.ReadAt(b[:], int64(next)*slotSize); err != nil {
			break
		}
		r.slots = append(r.slots, next)
		next = binary.LittleEndian.Uint32(b[4:])
	}
	l.Remove(r)
}

// take returns a slot that is not in use. Called with mu held.
func (l *Ledger) take() uint32 {
	if n := len(l.free); n > 0 {
		s := l.free[n-1]
		l.free = l.free[:n-1]
		return s
	}
	l.end++
	return l.end - 1
}

// put writes the i-th slot of a record, which fails when memory has run out. Called
// with mu held, over memory alone.
func (l *Ledger) put(r *Line, i int) error {
	var b [slotSize]byte
	text := r.Text[min(len(r.Text), i*slotText):min(len(r.Text), (i+1)*slotText)]
	b[0] = more
	if i == 0 {
		b[0] = r.Kind
	}
	binary.LittleEndian.PutUint16(b[2:], uint16(len(text)))
	if i+1 < len(r.slots) {
		binary.LittleEndian.PutUint32(b[4:], r.slots[i+1])
	}
	for j, n := range r.Num {
		binary.LittleEndian.PutUint64(b[8+8*j:], n)
	}
	copy(b[slotSize-slotText:], text)
	_, err := l.file.WriteAt(b[:], int64(r.slots[i])*slotSize)
	return err
}

// Update writes the numbers of a record anew, which is nothing for one that is
// not there.
func (l *Ledger) Update(r *Line) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(r.slots) > 0 {
		_ = l.put(r, 0) // over what is there, which takes no memory
	}
}

// Remove takes a record out.
func (l *Ledger) Remove(r *Line) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(r.slots) == 0 {
		return
	}
	slots := r.slots
	r.slots = nil
	_, _ = l.file.WriteAt(make([]byte, 8), int64(slots[0])*slotSize)
	l.free = append(l.free, slots...)
}

// ErrFormat is of a ledger that another glancefs has written.
var ErrFormat = errors.New("what the process before has left cannot be read")

// Open reads what the process before has left in file.
func Open(file *os.File) (*Ledger, []*Line, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if n := info.Size(); n%slotSize != 0 || n > maxSlots*slotSize {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrFormat, n)
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, info.Size()), b); err != nil {
		return nil, nil, err
	}
	// The first slot is never used, so that 0 leads nowhere.
	l := &Ledger{file: file, end: max(1, uint32(len(b)/slotSize))}
	used := make([]bool, l.end)
	var all []*Line
	for s := uint32(1); s < l.end; s++ {
		if kind := b[s*slotSize]; kind != free && kind != more {
			r, err := readRecord(b, s)
			if err != nil {
				return nil, nil, err
			}
			for _, s := range r.slots {
				used[s] = true
			}
			all = append(all, r)
		}
	}
	for s := l.end - 1; s > 0; s-- {
		if !used[s] {
			l.free = append(l.free, s)
		}
	}
	return l, all, nil
}

// readRecord puts the record together that begins in a slot.
func readRecord(b []byte, slot uint32) (*Line, error) {
	r := &Line{Kind: b[slot*slotSize]}
	for j := range r.Num {
		r.Num[j] = binary.LittleEndian.Uint64(b[slot*slotSize+8+8*uint32(j):])
	}
	for slot != 0 {
		if int(slot) >= len(b)/slotSize || slices.Contains(r.slots, slot) {
			return nil, fmt.Errorf("%w: slot %d", ErrFormat, slot)
		}
		s := b[slot*slotSize : (slot+1)*slotSize]
		n := binary.LittleEndian.Uint16(s[2:])
		if n > slotText {
			return nil, fmt.Errorf("%w: slot %d", ErrFormat, slot)
		}
		r.Text += string(s[slotSize-slotText:][:n])
		r.slots = append(r.slots, slot)
		slot = binary.LittleEndian.Uint32(s[4:])
	}
	return r, nil
}
