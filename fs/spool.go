package fs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"glancefs/cache"
)

// A spool is the bytes of a draft on their way. It sums up what passes, for what
// is compared afterwards and for the cache, so that the bytes are read from the
// disk once. Its file must not change.
type spool struct {
	file *os.File
	info os.FileInfo
	size int64

	mu      sync.Mutex // readers follow each other, but as different goroutines
	algo    string     // of sum
	sum     sum
	damaged error             // what was read is not what was written; errDamaged
	hashes  map[string]string // by algorithm, once all is summed up
}

// A sum is what is known of the first bytes of a spool.
type sum struct {
	passed int64 // so many
	hash   hash.Hash
	blocks cache.Sums
}

func (s *sum) add(p []byte) {
	s.hash.Write(p)
	s.blocks.Write(p)
	s.passed += int64(len(p))
}

// openSpool begins with the bytes at path; algo is the hash that is likely to be
// wanted.
func openSpool(path, algo string) (*spool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, ofTheDisk(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &spool{file: f, info: info, size: info.Size(), algo: algo, sum: sum{hash: newHash(algo)}, hashes: make(map[string]string)}, nil
}

func newHash(algo string) hash.Hash { return cache.Digest{Algo: algo}.Hash() }

func (s *spool) Close() error { return s.file.Close() }

// ReadAt reads as io.ReaderAt does.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.file.ReadAt(p, off)
	s.mu.Lock()
	defer s.mu.Unlock()
	if news := off + int64(n) - s.sum.passed; off <= s.sum.passed && news > 0 {
		s.sum.add(p[int64(n)-news : n])
	}
	return n, err
}

// finish sums up what nobody has read, and returns errDamaged if any of it is not what
// was written.
func (s *spool) finish(ctx context.Context) error {
	buf := make([]byte, blockSize)
	for {
		s.mu.Lock()
		at := s.sum.passed
		s.mu.Unlock()
		if at == s.size {
			return s.kept()
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := s.ReadAt(buf[:min(int64(len(buf)), s.size-at)], at)
		if n == 0 {
			return fmt.Errorf("reading the draft: %w", err)
		}
	}
}

// kept returns errDamaged if the bytes are not those that were written.
func (s *spool) kept() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damaged == nil {
		s.damaged = damaged(s.file)
	}
	return s.damaged
}

// errDamaged is why bytes that a disk has taken are not there.
var errDamaged = errors.New("the cache disk has lost some of what was written; it has to be written anew")

// damaged returns errDamaged if the disk has lost any of what was written to a file, since
// it was opened here or without anybody having been told. A disk that breaks, or a thin
// one that finds no room behind it, fails when the writer has gone on long since; then
// there are zeros. The kernel tells it once: who waits for a byte, or syncs.
func damaged(f *os.File) error {
	err := unix.SyncFileRange(int(f.Fd()), 0, 1, unix.SYNC_FILE_RANGE_WAIT_BEFORE)
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

// digest returns the digest of all the bytes by an algorithm that is known.
func (s *spool) digest(ctx context.Context, algo string) (cache.Digest, error) {
	if err := s.finish(ctx); err != nil {
		return cache.Digest{}, err
	}
	s.mu.Lock()
	value, ok := s.hashes[algo]
	s.mu.Unlock()
	if !ok {
		h := s.sum.hash
		if algo != s.algo {
			h = newHash(algo)
			if _, err := io.Copy(h, &patient{ctx, io.NewSectionReader(s.file, 0, s.size)}); err != nil {
				return cache.Digest{}, fmt.Errorf("reading the draft: %w", err)
			}
		}
		value = hex.EncodeToString(h.Sum(nil))
		s.mu.Lock()
		s.hashes[algo] = value
		s.mu.Unlock()
	}
	return cache.Digest{Algo: algo, Value: value}, nil
}

// matches compares the bytes with digests, and names the first they differ from.
func (s *spool) matches(ctx context.Context, want ...cache.Digest) (differs *cache.Digest, err error) {
	for _, w := range want {
		got, err := s.digest(ctx, w.Algo)
		if err != nil {
			return nil, err
		}
		if got != w {
			return &w, nil
		}
	}
	return nil, nil
}

// A patient reader reads until its context ends.
type patient struct {
	ctx context.Context
	io.Reader
}

func (p *patient) Read(b []byte) (int, error) {
	if p.ctx.Err() != nil {
		return 0, context.Cause(p.ctx)
	}
	return p.Reader.Read(b)
}
