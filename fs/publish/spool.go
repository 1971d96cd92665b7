package publish

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	iofs "io/fs"
	"os"
	"sync"

	"glancefs/cache"
	"glancefs/fs/disk"
	"glancefs/fs/diskformat"
	"glancefs/fs/metadata"
)

// A Spool is the bytes of a draft on their way. It sums up what passes, for what
// is compared afterwards and for the cache, so that the bytes are read from the
// disk once. Its file must not change.
type Spool struct {
	Info os.FileInfo // of the file
	Size int64       // in bytes

	file    *os.File
	mu      sync.Mutex // readers follow each other, but as different goroutines
	algo    string     // of sum
	sum     sum
	damaged error             // what was read is not what was written; disk.ErrDamaged
	hashes  map[string]string // by algorithm, once all is summed up
}

// A sum is what is known of the first bytes of a Spool.
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

// OpenSpool begins with the bytes at path; algo is the hash that is likely to be
// wanted, one of which cache.CanVerify.
func OpenSpool(path, algo string) (*Spool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Spool{file: f, Info: info, Size: info.Size(), algo: algo, sum: sum{hash: newHash(algo)}, hashes: make(map[string]string)}, nil
}

func newHash(algo string) hash.Hash { return cache.Digest{Algo: algo}.Hash() }

func (s *Spool) Close() error { return s.file.Close() }

// ReadAt reads as io.ReaderAt does.
func (s *Spool) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.file.ReadAt(p, off)
	s.mu.Lock()
	defer s.mu.Unlock()
	if news := off + int64(n) - s.sum.passed; off <= s.sum.passed && news > 0 {
		s.sum.add(p[int64(n)-news : n])
	}
	return n, err
}

// Fits compares the data with what was said of it beforehand, if anything was. It is
// io/fs.ErrInvalid if it is not that.
func (s *Spool) Fits(ctx context.Context, w *metadata.Wish) error {
	if w.Size != nil && *w.Size != s.Size {
		return fmt.Errorf("size should be %d and is %d: %w", *w.Size, s.Size, iofs.ErrInvalid)
	}
	differs, err := s.matches(ctx, w.Digests()...)
	if err == nil && differs != nil {
		err = fmt.Errorf("%s should be %s and is not: %w", differs.Algo, differs.Value, iofs.ErrInvalid)
	}
	return err
}

// Format tells what kind of disk the bytes are.
func (s *Spool) Format() (diskformat.Format, error) { return diskformat.Sniff(s.file, s.Size) }

// Blocks returns the checksums of all blocks, after Finish.
func (s *Spool) Blocks() *cache.Sums { return &s.sum.blocks }

// Spoil says that the disk has lost some of the bytes before.
func (s *Spool) Spoil() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damaged = disk.ErrDamaged
}

// readSize is how much is read at a time, in bytes, of what nobody else reads.
const readSize = 1 << 20

// Finish sums up what nobody has read, and returns disk.ErrDamaged if any of it is not what
// was written.
func (s *Spool) Finish(ctx context.Context) error {
	buf := make([]byte, readSize)
	for {
		s.mu.Lock()
		at := s.sum.passed
		s.mu.Unlock()
		if at == s.Size {
			return s.kept()
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := s.ReadAt(buf[:min(int64(len(buf)), s.Size-at)], at)
		if n == 0 {
			return fmt.Errorf("reading the draft: %w", err)
		}
	}
}

// kept returns disk.ErrDamaged if the bytes are not those that were written.
func (s *Spool) kept() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damaged == nil {
		s.damaged = disk.Damaged(s.file)
	}
	return s.damaged
}

// digest returns the digest of all the bytes by an algorithm that is known.
func (s *Spool) digest(ctx context.Context, algo string) (cache.Digest, error) {
	if err := s.Finish(ctx); err != nil {
		return cache.Digest{}, err
	}
	s.mu.Lock()
	value, ok := s.hashes[algo]
	s.mu.Unlock()
	if !ok {
		h := s.sum.hash
		if algo != s.algo {
			h = newHash(algo)
			if _, err := io.Copy(h, &patient{ctx, io.NewSectionReader(s.file, 0, s.Size)}); err != nil {
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
func (s *Spool) matches(ctx context.Context, want ...cache.Digest) (differs *cache.Digest, err error) {
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
