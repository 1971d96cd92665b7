package cache

import (
	"errors"
	"math"
	"math/bits"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// The cache leaves this much of its file system free, whichever is less:
	// other programs fail when there is none.
	floorShare = 20 // one twentieth
	floorBytes = 1 << 30
	// roomEvery is how often the free space is looked at.
	roomEvery = time.Second
	// fewExtents is how many extents are looked at, at most, each time that something
	// arrives. All of a large cache may be pinned by who has images open: to find that
	// out takes a tenth of a second, with the lock held. Pinned ones go to the end of
	// the order, so the next time it is others.
	fewExtents = 64
	// leftoverCut is how much of a leftover is evicted at a time, in bytes.
	leftoverCut = 64 * ExtentSize
)

// room is what a store may use and uses. It is guarded by Store.mu.
type room struct {
	dir   string
	size  int64 // the budget
	used  int64 // bytes of present blocks and leftovers
	limit int64 // the budget, or less where the disk is full; see over
	asked time.Time
}

// full makes the next look at the free space come at once.
func (r *room) full() { r.asked = time.Time{} }

// over reports whether the store has to evict.
func (r *room) over() bool {
	if now := time.Now(); now.Sub(r.asked) > roomEvery {
		r.asked, r.limit = now, r.size
		var st unix.Statfs_t
		if err := unix.Statfs(r.dir, &st); err == nil {
			total, free := int64(st.Blocks)*st.Frsize, int64(st.Bavail)*st.Frsize
			r.limit = min(r.size, max(0, r.used+free-min(total/floorShare, floorBytes)))
		}
	}
	return r.used > r.limit
}

// evict brings the store back under its budget: first blobs that are gone from
// their source, then what an earlier store left and nobody has asked for, then
// the least recently used extents, as far as pins allow. It looks at no more than
// most of these. Called with mu held; gives it up while punching. A store that is
// closed is not touched: another may have the directory.
func (s *Store) evict(most int) {
	for s.ctx.Err() == nil && s.room.over() && (s.evictDoomed() || s.evictLeftover()) {
	}
	for tries := min(most, s.lru.Len()); tries > 0 && s.ctx.Err() == nil && s.room.over(); tries-- {
		e, _, ok := s.lru.GetOldest()
		if !ok {
			return
		}
		if e.pins > 0 || e.blob.pins > 0 || lately(e.blob.elsewhere) || !s.clear(e) {
			s.lru.Get(e) // make it the newest, and look at the next
		}
	}
}

// Prune evicts until the store is within its budget, and returns how many
// bytes that freed.
func (s *Store) Prune() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.room.used
	s.evict(math.MaxInt)
	return before - s.room.used
}

// MakeRoom evicts down to the budget and the free space that the store leaves to
// others, as they are now, and returns how many bytes that freed: for whoever
// finds no room on the same file system.
func (s *Store) MakeRoom() int64 {
	s.mu.Lock()
	s.room.full()
	s.mu.Unlock()
	return s.Prune()
}

// evictDoomed drops one doomed blob that nobody uses. Called with mu held.
func (s *Store) evictDoomed() bool {
	for _, b := range s.blobs {
		if b.doomed && b.users == 0 {
			for _, e := range b.extents {
				s.lru.Remove(e)
			}
			s.room.used -= b.cached
			s.stats.Evicted += b.cached
			s.forget(b)
			return true
		}
	}
	return false
}

// clear takes the blocks of an extent without pins from the disk, and reports whether
// it has: not while the file is open elsewhere, nor from who has come meanwhile, nor where
// the disk takes no change, which would free nothing. Called with mu held; gives it up.
func (s *Store) clear(e *extent) bool {
	b := e.blob
	if b.users == 0 && b.cached == e.bytes() {
		s.stats.Evicted += e.forget()
		s.forget(b)
		return true
	}
	done, err := b.hold()
	defer done()
	switch {
	case e.pins > 0 || b.pins > 0 || e.punching:
		return false
	case e.present == 0:
		return true // by another; what is in its place by now is another extent
	case err != nil || b.refused != nil || b.isElsewhere():
		return false
	}
	s.stats.Evicted += e.forget()
	e.punching = true
	s.punch(e)
	return true
}

// hold is grab for a blob that nobody else may be using. Called with mu held, as done is;
// gives it up meanwhile.
func (b *Blob) hold() (done func(), err error) {
	s := b.store
	b.users++
	s.mu.Unlock()
	err = b.grab()
	s.mu.Lock()
	return func() {
		if err == nil {
			b.busy--
		}
		b.drop()
	}, err
}

// punch takes an extent that is marked as being punched from the disk. Called with mu
// held; gives it up meanwhile.
func (s *Store) punch(e *extent) {
	s.mu.Unlock()
	err := e.blob.free(e.index)
	s.mu.Lock()
	if err != nil {
		s.complain("cache disk does not free data", err)
	}
	s.punched(e)
}

// punched takes the mark away. Called with mu held.
func (s *Store) punched(e *extent) {
	e.punching = false
	s.freed.Broadcast()
	e.release()
}

// free erases the records of an extent, then its bytes. Those go also if the records
// stay, as they may on a disk that is full and never writes in place: a record without
// its bytes does no harm, and bytes that are counted no more would stay for good.
func (b *Blob) free(extent int64) error {
	data, index, err := b.onDisk()
	if err != nil {
		return err
	}
	err = eraseRecords(index, extent*blocksPerExtent, blocksPerExtent)
	return errors.Join(err, punch(data, extent*ExtentSize, ExtentSize))
}

// forget loses the blocks of e, and returns how many bytes they were. Called with
// mu held.
func (e *extent) forget() (n int64) {
	b := e.blob
	n = e.bytes()
	e.lost++
	b.lost += bits.OnesCount64(e.present)
	e.present = 0
	e.letGo()
	b.cached -= n
	b.store.room.used -= n
	b.doubt()
	b.store.lru.Remove(e)
	return n
}

// bytes is how many bytes of e are here. Called with mu held.
func (e *extent) bytes() (n int64) {
	for p := e.present; p != 0; p &= p - 1 {
		n += e.blob.blockLen(e.index*ExtentSize + int64(bits.TrailingZeros64(p))*BlockSize)
	}
	return n
}

// Doom marks the blob of key as gone from its source: it is the first to be
// evicted once nobody uses it.
func (s *Store) Doom(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.blobs[key]; b != nil {
		b.doomed = true
	} else {
		s.left.first(filepath.Base(s.path(key)))
	}
}
