package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// An Entry is one blob of a cache directory.
type Entry struct {
	Key    Key
	Size   int64     // of the blob, bytes
	Held   int64     // of it on disk, bytes
	Digest Digest    // what it is checked against
	Used   time.Time // when it was last used
}

// List returns what is in the cache directory dir, the oldest first. It looks
// only, so it may be used while a store has the directory open.
func List(dir string) ([]Entry, error) {
	blobs := filepath.Join(dir, "blobs")
	left, _, err := findLeftovers(blobs)
	if err != nil {
		return nil, fmt.Errorf("no cache in %s: %w", dir, err)
	}
	var all []Entry
	for _, l := range left.aged {
		h, err := headerOf(filepath.Join(blobs, l.name))
		if err != nil {
			continue // not one of ours, or being made or removed
		}
		all = append(all, Entry{h.key, h.size, min(l.used, h.size), h.digest, l.last})
	}
	return all, nil
}

func headerOf(path string) (header, error) {
	f, err := os.Open(path + indexSuffix)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	return readHeader(f)
}

// A Scrub is what checking a blob on disk has shown.
type Scrub struct {
	Entry
	Spoiled int64 // bytes dropped because they were not what was written
	State   Verification
}

// noSource is the source of blobs that are only looked at.
type noSource struct{}

func (noSource) Open(context.Context, int64, int64) (Stream, error) {
	return Stream{}, backoff.Permanent(errors.ErrUnsupported)
}

// Scrub reads every block of every blob that an earlier store left, drops what
// is not as it was written, and hashes the blobs that are whole. It tells each
// blob when that is done.
func (s *Store) Scrub(ctx context.Context, each func(Scrub)) error {
	s.mu.Lock()
	left := s.left.all()
	s.mu.Unlock()
	for _, l := range left {
		h, err := headerOf(filepath.Join(s.dir, l.name))
		if err != nil {
			s.log.Warn("cache file without a readable index; its bytes will be fetched again", "name", l.name)
			continue
		}
		b, err := s.Blob(h.key, h.size, h.digest, noSource{})
		if err != nil {
			return err
		}
		before := b.Cached()
		err = b.scrub(ctx)
		each(Scrub{Entry{h.key, h.size, b.Cached(), h.digest, l.last}, before - b.Cached(), b.Verification()})
		b.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// scrub reads the present blocks of b, and verifies b if it is whole.
func (b *Blob) scrub(ctx context.Context) error {
	if err := b.grab(); err != nil {
		return err
	}
	defer b.letGo()
	for off := int64(0); off < b.size && ctx.Err() == nil; off += BlockSize {
		b.scrubBlock(off)
	}
	if ctx.Err() == nil && b.Cached() == b.size && CanVerify(b.digest.Algo) {
		if err := b.Verify(ctx); err != nil && !errors.Is(err, ErrMismatch) && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return ctx.Err()
}

// scrubBlock drops the block at off if it is there and not as it was written.
func (b *Blob) scrubBlock(off int64) {
	s := b.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if !b.has(off) {
		return
	}
	e := b.pin(off)
	defer e.unpin()
	x := b.excerpt(e, off, off+b.blockLen(off))
	s.mu.Unlock()
	buf := s.buffers.Get().(*buffer)
	bad := x.read(&s.buffers, buf.block[:b.blockLen(off)], off)
	s.buffers.Put(buf)
	s.mu.Lock()
	x.close(s)
	if len(bad) > 0 {
		b.spoiled(e, bad, false)
	}
}
