package cache

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// keepSize is how much of a stream is put on disk at a time, in bytes, and aligned to
// that: a write of so many blocks costs a third less than as many of one. Until then
// readers, who are close behind, have them from memory. A process that dies loses no
// more than that of each stream.
const keepSize = 512 << 10

// keepRest is keep, for a stream that has ended and does not hold mu.
func (r *run) keepRest() {
	s := r.blob.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.filling != nil {
		r.keep()
		r.blob.consider()
	}
}

// keep puts the whole blocks that are not on disk yet there. If the disk does not take
// them, they stay in memory for as long as readers need them. Called with mu held;
// gives it up while writing.
func (r *run) keep() {
	b, s, f := r.blob, r.blob.store, r.filling
	if len(f.unkept) == 0 {
		return
	}
	if !f.extent.distrusted {
		data, index, err := b.data, b.index, b.refused
		if err == nil {
			s.mu.Unlock()
			err = f.write(b, data, index)
			s.mu.Lock()
		}
		if err != nil {
			s.refused(err)
		} else {
			s.stats.Filled += int64(len(f.unkept))
			for _, h := range f.unkept {
				f.extent.drop(h)
			}
		}
	}
	for _, h := range f.unkept {
		s.giveBack(h.buf)
	}
	b.writing -= len(f.unkept)
	f.unkept, f.sums = f.unkept[:0], f.sums[:0]
}

// write writes the blocks, and then that they are there.
func (f *filling) write(b *Blob, data, index *os.File) error {
	start, parts := f.unkept[0].start, make([][]byte, 0, keepSize/BlockSize)
	for _, h := range f.unkept {
		parts = append(parts, h.buf.block[:b.blockLen(h.start)])
	}
	if err := writeParts(data, parts, start); err != nil {
		return err
	}
	return writeRecords(index, b.key.salt(), start/BlockSize, f.sums)
}

// writeParts writes parts one after the other, from off on.
func writeParts(f *os.File, parts [][]byte, off int64) error {
	for len(parts) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), parts, off)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return err
		}
		off += int64(n)
		for len(parts) > 0 && n >= len(parts[0]) {
			n -= len(parts[0])
			parts = parts[1:]
		}
		if n > 0 {
			parts[0] = parts[0][n:]
		}
	}
	return nil
}

// refused notes that the disk did not take a write. Called with mu held.
func (s *Store) refused(err error) {
	s.stats.Refused++
	s.room.full()
	s.complain("cache disk does not take data; reads go on from memory", err)
}

// complain tells of a disk that fails, unless it has just been told of. Called with mu
// held.
func (s *Store) complain(of string, err error) {
	if now := time.Now(); now.Sub(s.complained) > complainEvery {
		s.complained = now
		s.log.Error(of, "err", err)
	}
}

// complainEvery is how often a failing cache disk is logged.
const complainEvery = time.Minute
