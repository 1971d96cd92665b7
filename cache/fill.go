package cache

import (
	"context"
	"hash/crc32"
	"io"
	"maps"
	"time"
)

// filling is the block a run is at: what has arrived of it, in memory as well
// as on disk, because the disk may not take it.
type filling struct {
	extent *extent // pinned
	buf    *block
	sum    uint32 // of what has arrived
}

// copy takes in what arrives, and wakes who waited for it.
func (r *run) copy(ctx context.Context, st Stream, silence *time.Timer, limit time.Duration) error {
	for pos := st.Start; pos < st.End; {
		silence.Stop()
		if err := r.room(ctx, pos); err != nil {
			return err
		}
		r.at(pos)
		silence.Reset(limit)
		n, err := st.Body.Read(r.filling.buf[pos%BlockSize : min(BlockSize, st.End-floorBlock(pos))])
		if n > 0 {
			r.arrived(pos, n)
			pos += int64(n)
		}
		if pos < st.End && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if pos < st.End && err != nil {
			return err
		}
	}
	return nil
}

// at makes the block of pos the one that is filled. A stream that goes on
// within a block finds what arrived of it before.
func (r *run) at(pos int64) {
	b, s := r.blob, r.blob.store
	f := r.filling
	if f != nil && pos%BlockSize != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f == nil {
		f = &filling{extent: b.pin(pos), buf: s.buffers.Get().(*block)}
		r.filling = f
	}
	if f.extent.index != pos/ExtentSize {
		f.extent.unpin()
		f.extent = b.pin(pos)
	}
	for f.extent.punching {
		s.freed.Wait()
	}
	f.sum, r.unwritten = 0, f.extent.distrusted
}

// room waits while the stream is further ahead of its readers than is of use.
func (r *run) room(ctx context.Context, pos int64) error {
	s := r.blob.store
	for {
		s.mu.Lock()
		ahead := r.blob.seeks == fromStart && pos >= r.want+wholeAhead
		s.mu.Unlock()
		if !ahead {
			return nil
		}
		select {
		case <-r.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// arrived takes in n bytes at off, which are in the buffer, and tells who
// waits. Blocks that are here already are passed over. Bytes the disk does not
// take stay in memory for as long as readers need them.
func (r *run) arrived(off int64, n int) {
	b, s, f := r.blob, r.blob.store, r.filling
	p := f.buf[off%BlockSize:][:n]
	f.sum = crc32.Update(f.sum, castagnoli, p)
	end := off + int64(n)
	whole := end%BlockSize == 0 || end == b.size
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Fetched += int64(n)
	if !b.has(off) {
		if !r.unwritten {
			data, index, sum := b.data, b.index, f.sum
			s.mu.Unlock()
			_, err := data.WriteAt(p, off)
			if err == nil && whole {
				err = writeRecord(index, b.key.salt(), off/BlockSize, sum)
			}
			s.mu.Lock()
			if err != nil {
				r.unwritten = true
				s.refused(err)
			}
		}
		if whole && r.unwritten {
			f.extent.memory = maps.Clone(f.extent.memory)
			if f.extent.memory == nil {
				f.extent.memory = make(map[int64]*block)
			}
			f.extent.memory[off/BlockSize] = f.buf
			f.buf = s.buffers.Get().(*block)
		}
		if whole {
			b.arrive(floorBlock(off), f.sum)
		}
	}
	r.advance(end)
	r.wake()
	s.evict()
	if whole && b.cached == b.size {
		s.mu.Unlock()
		b.consider()
		s.mu.Lock()
	}
}

// refused notes that the disk did not take a write. Called with mu held.
func (s *Store) refused(err error) {
	s.stats.Refused++
	s.room.full()
	if now := time.Now(); now.Sub(s.complained) > complainEvery {
		s.complained = now
		s.log.Error("cache disk does not take data; reads go on from memory", "err", err)
	}
}

// complainEvery is how often a failing cache disk is logged.
const complainEvery = time.Minute
