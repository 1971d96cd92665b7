package cache

import (
	"errors"
	"hash/crc32"
	"os"
	"sync"
)

// errSpoiled ends a read of bytes that the disk, and then memory, return other
// than they were written.
var errSpoiled = errors.New("cache disk returns other bytes than were written")

// An excerpt is what a reader has to know of one extent while it reads without
// the lock.
type excerpt struct {
	data   *os.File
	size   int64 // of the blob
	sums   [blocksPerExtent]uint32
	memory []held // of the blocks read, those to be had from memory
}

// excerpt is what there is to know of e to read [off, end), all of which is
// here: of the blocks read only the last can be one that still arrives. It has to
// be closed. Called with mu held.
func (b *Blob) excerpt(e *extent, off, end int64) excerpt {
	x := excerpt{data: b.data, size: b.size, sums: e.sums}
	for _, h := range e.memory {
		if h.start < end && off < h.start+BlockSize {
			x.memory = append(x.memory, h)
		}
	}
	if r := b.within(end - 1); r != nil && !b.has(end-1) {
		x.memory = append(x.memory, held{floorBlock(end - 1), r.filling.buf})
	}
	for _, h := range x.memory {
		h.buf.users++
	}
	return x
}

// close gives back what x has of memory. Called with mu held.
func (x *excerpt) close(s *Store) {
	for _, h := range x.memory {
		s.giveBack(h.buf)
	}
}

// held returns the block at start if it is to be had from memory, or nil.
func (x *excerpt) held(start int64) *buffer {
	for _, h := range x.memory {
		if h.start == start {
			return h.buf
		}
	}
	return nil
}

// read reads p at off, which is here, and compares every whole block with its
// checksum. It returns the offsets of the blocks that differ or cannot be read.
func (x *excerpt) read(buffers *sync.Pool, p []byte, off int64) (bad []int64) {
	end := off + int64(len(p))
	for at := off; at < end; {
		if next := x.wholes(at, end); next > at {
			bad = append(bad, x.checkAll(p[at-off:next-off], at)...)
			at = next
			continue
		}
		start := floorBlock(at)
		next := min(start+BlockSize, end)
		part := p[at-off : next-off]
		if buf := x.held(start); buf != nil {
			copy(part, buf.block[at-start:])
		} else if err := x.checkPart(buffers, part, at); err != nil {
			bad = append(bad, start)
		}
		at = next
	}
	return bad
}

// wholes returns the end of the whole blocks on disk that lie one after the
// other from at on, and before end.
func (x *excerpt) wholes(at, end int64) int64 {
	for at%BlockSize == 0 && at < end && x.held(at) == nil {
		next := min(at+BlockSize, x.size)
		if next > end {
			break
		}
		at = next
	}
	return at
}

// checkAll reads whole blocks from start on into p, in one go, and returns the
// offsets of those that are not as they were written.
func (x *excerpt) checkAll(p []byte, start int64) (bad []int64) {
	n, _ := x.data.ReadAt(p, start) // what could not be read does not match
	clear(p[n:])
	for off := int64(0); off < int64(len(p)); off += BlockSize {
		part := p[off:min(off+BlockSize, int64(len(p)))]
		if off+int64(len(part)) > int64(n) || crc32.Checksum(part, castagnoli) != x.sums[slot(start+off)] {
			bad = append(bad, start+off)
		}
	}
	return bad
}

// checkPart reads the block at off whole, and takes from it what p wants.
func (x *excerpt) checkPart(buffers *sync.Pool, p []byte, off int64) error {
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	start := floorBlock(off)
	whole := buf.block[:min(BlockSize, x.size-start)]
	if len(x.checkAll(whole, start)) > 0 {
		return errSpoiled
	}
	copy(p, whole[off-start:])
	return nil
}
