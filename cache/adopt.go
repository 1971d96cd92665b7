package cache

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
)

// ErrLarger is the answer to what needs a whole blob to be here that is larger
// than the budget.
var ErrLarger = errors.New("larger than the cache")

// ErrOpen is the answer to the adoption of a blob that is in the store already.
var ErrOpen = errors.New("in the cache already")

// Sums are the checksums of the blocks of a file. They are made while the file
// is read for another purpose: Write takes all of it, from its start. They take
// 64 KiB for each GiB.
type Sums struct {
	whole []uint32
	last  uint32 // of what has come of the next block
	size  int64
}

// Write takes the next bytes of the file. It does not fail.
func (s *Sums) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part := rest[:min(int64(len(rest)), BlockSize-s.size%BlockSize)]
		s.last = crc32.Update(s.last, castagnoli, part)
		s.size += int64(len(part))
		rest = rest[len(part):]
		if s.size%BlockSize == 0 {
			s.whole, s.last = append(s.whole, s.last), 0
		}
	}
	return len(p), nil
}

// all returns the checksums of all blocks, the last one short.
func (s *Sums) all() []uint32 {
	if s.size%BlockSize == 0 {
		return s.whole
	}
	return append(s.whole[:len(s.whole):len(s.whole)], s.last)
}

// Adopt makes the file at path, which must be on the file system of the store,
// the whole of a blob: it is moved, not copied, and not read. The caller knows
// that the file's bytes match digest, so the blob is Verified, and that they are
// those that sums has seen; nobody may write to the file any more. The file is
// left alone with ErrLarger, with ErrOpen and when the index cannot be written.
func (s *Store) Adopt(key Key, digest Digest, path string, sums *Sums) error {
	if s.lock == nil {
		return errNoDisk
	}
	if sums.size > s.room.size {
		return ErrLarger
	}
	b := s.newBlob(header{key, sums.size, digest})
	b.checking = true // or it would be hashed
	b.opening.Lock()
	s.mu.Lock()
	there, closed := s.blobs[key] != nil, s.ctx.Err() != nil
	if !there && !closed {
		s.blobs[key] = b
		b.users++
	}
	s.mu.Unlock()
	if there || closed {
		b.opening.Unlock()
		if closed {
			return ErrClosed
		}
		return ErrOpen
	}
	err := b.takeOver(path, sums)
	b.opening.Unlock()
	// Whoever has opened the blob meanwhile waited for opening.
	if err == nil {
		if err = b.grab(); err == nil {
			b.letGo()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.checking = false
	if err == nil && b.here() {
		b.decide(Verified)
		b.judge(b.adopted)
	}
	s.evict(math.MaxInt)
	b.drop()
	return err
}

// takeOver makes the file at path the data of b and writes the index. An index
// without its data, or with other data, does no harm. Called with opening held.
func (b *Blob) takeOver(path string, sums *Sums) error {
	to := b.store.path(b.key)
	b.store.claim(filepath.Base(to))
	index, err := os.OpenFile(to+indexSuffix, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cache index: %w", err)
	}
	defer index.Close()
	if err := b.writeIndex(index, sums); err != nil {
		return fmt.Errorf("cache index: %w", err)
	}
	return os.Rename(path, to+dataSuffix)
}

// adopted seals the blob, as check does, but its bytes have been compared.
func (b *Blob) adopted() (lost int, err error) {
	if err := b.grab(); err != nil {
		return 0, err
	}
	defer b.letGo()
	data, index, err := b.onDisk()
	if err != nil {
		return 0, err
	}
	lost, here := b.losses()
	if !here {
		return 0, errComing
	}
	st, err := b.stampOf(data)
	if err != nil {
		return 0, err
	}
	return lost, b.seal(data, index, st)
}

func (b *Blob) writeIndex(index *os.File, sums *Sums) error {
	head, err := b.encode()
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(index, 64<<10)
	w.Write(head) // its errors come back from Flush
	w.Write(make([]byte, recordsAt-len(head)))
	salt := b.key.salt()
	for i, sum := range sums.all() {
		r := record(salt, int64(i), sum)
		w.Write(r[:])
	}
	return w.Flush()
}
