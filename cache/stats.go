package cache

import "path/filepath"

// Stats are a store's counters since it was opened, and its gauges.
type Stats struct {
	Fetched int64 // bytes received from sources
	Read    int64 // bytes asked for by readers
	Hits    int64 // reads whose bytes were here, a read of two extents being two
	Misses  int64 // reads that had to wait for some
	Filled  int64 // blocks that were fetched and written to disk
	Evicted int64 // bytes dropped for the budget
	Streams int64 // streams asked of sources
	Broken  int64 // streams that ended early
	Corrupt int64 // blocks the disk returned other than they were written
	Refused int64 // writes the disk did not take

	Mismatched int64 // times a whole blob did not match its digest

	Used  int64 // bytes on disk
	Size  int64 // the budget
	Blobs int64 // blobs with bytes on disk, or in use
	Runs  int64 // runs under way
}

// Held is how many bytes of a blob are here, whether or not it is open.
func (s *Store) Held(key Key) int64 {
	name := filepath.Base(s.path(key))
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.blobs[key]; b != nil {
		return b.cached
	}
	if l := s.left.named[name]; l != nil {
		return l.used
	}
	return 0
}

// Stats returns them as they are now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Read = s.served.Load()
	st.Used, st.Size, st.Blobs = s.room.used, s.room.size, int64(len(s.blobs)+len(s.left.named))
	for _, b := range s.blobs {
		st.Runs += int64(len(b.runs))
	}
	return st
}
