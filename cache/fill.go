package cache

import (
	"context"
	"hash/crc32"
	"io"
	"maps"
	"sync"
	"time"
)

// A filling is the block a run is at. Until it is whole it is in memory only,
// for readers too: what is on disk without a checksum cannot be told from
// rubbish.
//
// The run's goroutine writes to buf from run.pos on, without a lock; readers
// read what is before. They may still do so when the run has gone on to its next
// block, so a buffer that was lent is not used again.
type filling struct {
	extent *extent // pinned
	sum    uint32  // of what has arrived

	buf  *block // set under Store.mu
	lent bool   // guarded by Store.mu
}

// renew gets f a buffer that no reader has. Called with mu held.
func (f *filling) renew(buffers *sync.Pool) {
	if f.lent {
		f.buf, f.lent = buffers.Get().(*block), false
	}
}

// giveBack lets the buffer of f be used again, by another run. Called with mu
// held.
func (f *filling) giveBack(buffers *sync.Pool) {
	if !f.lent {
		buffers.Put(f.buf)
	}
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
	f.renew(&s.buffers)
	if f.extent.index != pos/ExtentSize {
		f.extent.unpin()
		f.extent = b.pin(pos)
	}
	for f.extent.punching {
		s.freed.Wait()
	}
	f.sum = 0
}

// wholeAhead is how far ahead of its readers a stream is read that cannot be had
// from anywhere but the start: giving it up costs everything again.
const wholeAhead = 64 << 20

// room waits while the stream is further ahead of its readers than is of use.
func (r *run) room(ctx context.Context, pos int64) error {
	s := r.blob.store
	for {
		s.mu.Lock()
		ahead := r.blob.seeks == fromStart && pos >= r.sequence.want+wholeAhead
		s.mu.Unlock()
		if !ahead {
			return nil
		}
		select {
		case <-r.sequence.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// arrived takes in n bytes at off, which are in the buffer, and tells who
// waits.
func (r *run) arrived(off int64, n int) {
	b, s, f := r.blob, r.blob.store, r.filling
	f.sum = crc32.Update(f.sum, castagnoli, f.buf[off%BlockSize:][:n])
	end := off + int64(n)
	whole := end%BlockSize == 0 || end == b.size
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Fetched += int64(n)
	if whole && !b.has(off) {
		r.keep(floorBlock(off))
	}
	r.advance(end)
	r.wake()
	if end == r.end {
		r.done()
	}
	s.evict()
	if whole && b.cached == b.size {
		s.mu.Unlock()
		b.consider()
		s.mu.Lock()
	}
}

// keep puts the block at off, now whole, where readers find it: on disk, or, when
// the disk does not take it, in memory for as long as readers need it. Called
// with mu held; gives it up while writing.
func (r *run) keep(off int64) {
	b, s, f := r.blob, r.blob.store, r.filling
	data, index := b.data, b.index
	kept := !f.extent.distrusted
	if kept {
		s.mu.Unlock()
		_, err := data.WriteAt(f.buf[:b.blockLen(off)], off)
		if err == nil {
			err = writeRecord(index, b.key.salt(), off/BlockSize, f.sum)
		}
		s.mu.Lock()
		if err != nil {
			kept = false
			s.refused(err)
		}
	}
	if !kept {
		f.extent.memory = maps.Clone(f.extent.memory)
		if f.extent.memory == nil {
			f.extent.memory = make(map[int64]*block)
		}
		f.extent.memory[off/BlockSize] = f.buf
		f.lent = true
	}
	b.arrive(off, f.sum)
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
