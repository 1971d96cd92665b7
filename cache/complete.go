package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Complete returns the file of a blob that is whole and Verified, and keeps it
// so until Release: nothing of it is evicted. ok is false for any other blob.
// A file somebody has written to since it was verified is checked again first.
func (b *Blob) Complete() (data *os.File, ok bool) {
	s := b.store
	if b.grab() != nil {
		return nil, false
	}
	s.mu.Lock()
	b.pins++ // with busy, until Release
	whole := b.state == Verified && b.whole()
	data, index, refused := b.data, b.index, b.refused
	s.mu.Unlock()
	if !whole {
		b.Release()
		return nil, false
	}
	if st, err := b.stampOf(data); err == nil && stamped(index, st) {
		return data, true
	}
	b.Release()
	if refused != nil {
		return nil, false // it cannot be checked now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !b.checking { // else it was adopted, and is not on the disk yet
		b.doubt()
		b.consider()
	}
	return nil, false
}

// Hold keeps what there is of a blob until Release: none of it is evicted. It is
// for who reads the file of a blob that was Complete to another store, and may not
// be any more.
func (b *Blob) Hold() error {
	if err := b.grab(); err != nil {
		return err
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.pins++ // with busy, until Release
	return nil
}

// whole reports whether all of b is on disk. Called with mu held.
func (b *Blob) whole() bool { return b.cached == b.size && b.held == 0 }

// Release undoes one Complete, or Hold.
func (b *Blob) Release() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.pins--
	b.busy--
}

// errNotKept ends the verification of a blob of which there is always something
// missing by the time that the rest is here.
var errNotKept = errors.New("the cache does not keep all of it until it is verified")

// maxNotKept is how often that is fetched again first.
const maxNotKept = 5

// Verify fetches what is missing of the blob and returns when all of it is
// known to match its digest, or why that will not be. It fetches nothing where the disk
// takes nothing, since there is never all of it then.
func (b *Blob) Verify(ctx context.Context) error {
	s := b.store
	if newHash(b.digest.Algo) == nil {
		return ErrNoDigest
	}
	if err := b.grab(); err != nil {
		return err
	}
	defer b.letGo()
	for range maxMismatches + maxNotKept {
		s.mu.Lock()
		// What happens to the blob from here on concludes this verdict.
		state, verdict := b.state, b.verdict
		err := b.refused
		if state == Unverified && err == nil {
			err = b.awaitAll(ctx)
			b.consider()
		}
		s.mu.Unlock()
		switch {
		case state == Verified || b.size == 0:
			return nil
		case state == Mismatched:
			return ErrMismatch
		case err != nil:
			return err
		}
		select {
		case <-verdict.come:
			if verdict.err != nil {
				return verdict.err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		}
	}
	return errNotKept
}

// NotVerified is why the last check of the whole blob came to nothing, or why there is
// none of one that is here. It is nil when it was found to match, and while it is
// checked or fetched.
func (b *Blob) NotVerified() error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if b.cached == b.size && newHash(b.digest.Algo) == nil {
		return ErrNoDigest
	}
	return b.why
}

// Recheck has the whole blob judged anew: what did not match is dropped, to be fetched
// once more, since its source may have been mended; what is here otherwise is compared
// with its digest again.
func (b *Blob) Recheck() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	switch {
	case b.checking:
		return
	case b.state == Mismatched:
		b.state, b.row, b.why = Unverified, maxMismatches-1, nil
		b.discard()
	case b.state == Verified:
		b.doubt()
	}
	b.consider()
}

// awaitAll returns when every block of b has come since, or was here. Those that
// were evicted meanwhile are missing again, and so is one that the disk did not
// take. Called with mu held; gives it up while waiting.
func (b *Blob) awaitAll(ctx context.Context) error {
	s := b.store
	if b.size > s.room.size {
		return fmt.Errorf("image cannot be verified as a whole: %w", ErrLarger)
	}
	for _, e := range b.extents {
		s.lru.Get(e) // what is here does not make way for what is not
	}
	for off := int64(0); off < b.size; {
		if b.has(off) {
			off += BlockSize
			continue
		}
		if s.ctx.Err() != nil {
			return ErrClosed
		}
		lost := b.lost
		w := b.join(b.tip(off), b.size) // a run may be within the block
		err := w.wait(ctx)
		w.run.leave(w)
		if err != nil {
			return err
		}
		if !b.has(off) && b.lost > lost {
			return nil
		}
	}
	return nil
}
