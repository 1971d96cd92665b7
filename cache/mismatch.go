package cache

import "cmp"

// mismatch drops the whole blob, so that it is fetched anew; not for ever, for
// it may be the source that is wrong, and then what it sends is what there is,
// marked as what it is. Called with mu held; gives it up while punching.
func (b *Blob) mismatch() {
	b.store.stats.Mismatched++
	if b.row+1 == maxMismatches {
		b.mismatches++
		b.row++
		b.decide(Mismatched)
		return
	}
	b.discard()
	b.row++
	b.conclude(nil) // whoever waits fetches once more
}

// discard drops bytes that do not match, and has those forget them who have read them.
// Called with mu held; gives it up.
func (b *Blob) discard() {
	s := b.store
	s.dropBlocks(b)
	b.mismatches++ // when nobody can read them any more
	if tell := s.dropped; tell != nil {
		s.mu.Unlock()
		tell(b.key)
		s.mu.Lock()
	}
}

// OnMismatch has tell called of each blob whose bytes, all of which may have been
// read, did not match and were dropped. It is to be set before any blob is opened.
func (s *Store) OnMismatch(tell func(Key)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = tell
}

// Mismatches returns the keys of open blobs whose sources send other bytes
// than their digests are of.
func (s *Store) Mismatches() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []Key
	for _, b := range s.blobs {
		if b.row > 0 {
			keys = append(keys, b.key)
		}
	}
	return keys
}

// dropBlocks makes all blocks of b absent, at once: nobody is to read one of them, or find
// all of them here, when others are gone. Called with mu held; gives it up while punching.
func (s *Store) dropBlocks(b *Blob) {
	var unused []*extent
	for _, e := range b.extents {
		if e.punching || e.present == 0 {
			continue
		}
		e.forget() // who has it pinned holds the file's bytes; whoever comes fetches
		if e.pins == 0 && b.pins == 0 {
			e.punching = true
			unused = append(unused, e)
		}
	}
	done, err := b.hold()
	defer done()
	stays := err != nil || b.refused != nil || b.isElsewhere()
	for _, e := range unused {
		if stays {
			s.punched(e)
		} else {
			s.punch(e)
		}
	}
}

// spoiled drops blocks which the disk returned other than they were written,
// and tells so once a blob. When it happens again to the same read, what takes
// their place is kept in memory. Called with mu held; gives it up while records
// are erased.
func (b *Blob) spoiled(e *extent, bad []int64, again bool) {
	s := b.store
	s.stats.Corrupt += int64(len(bad))
	if !b.warned {
		b.warned = true
		s.log.Warn("cache disk returned other bytes than were written; they are fetched again when needed", "blob", b.key, "offset", bad[0])
	}
	for _, off := range bad {
		e.lose(off)
	}
	e.distrusted = e.distrusted || again
	index, err := b.index, b.refused
	if err == nil {
		s.mu.Unlock()
		for _, off := range bad {
			err = cmp.Or(err, eraseRecords(index, off/BlockSize, 1))
		}
		s.mu.Lock()
	}
	if err != nil {
		s.complain("cache index not written", err)
	}
}
