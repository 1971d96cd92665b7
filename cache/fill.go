package cache

import (
	"context"
	"hash/crc32"
	"io"
	"time"
)

// A filling is the block a run is at. Until it is whole it is in memory only,
// for readers too: what is on disk without a checksum cannot be told from
// rubbish.
//
// The run's goroutine writes to buf from run.pos on, without a lock; readers
// read what is before. They may still do so when the run has gone on to its next
// block, which then gets another buffer.
type filling struct {
	extent *extent // pinned
	sum    uint32  // of what has arrived
	buf    *buffer // set under Store.mu
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
		n, err := st.Body.Read(r.filling.buf.block[pos%BlockSize : min(BlockSize, st.End-floorBlock(pos))])
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
		f = &filling{extent: b.pin(pos), buf: s.buffer()}
		r.filling = f
	}
	if f.buf.users > 1 {
		s.giveBack(f.buf)
		f.buf = s.buffer()
	}
	if f.extent.index != pos/ExtentSize {
		f.extent.unpin()
		f.extent = b.pin(pos)
	}
	for f.extent.punching {
		s.freed.Wait()
	}
	f.sum = 0
}

// wholeAhead is how far ahead of its readers a stream is read, at most, that cannot
// be had from anywhere but the start: giving it up costs everything again. So does
// what makes way in a small cache for what comes after it, before it was read.
const wholeAhead = 64 << 20

// room waits while the stream is further ahead of its readers than is of use.
func (r *run) room(ctx context.Context, pos int64) error {
	s := r.blob.store
	most := min(wholeAhead, s.room.size/2)
	for {
		s.mu.Lock()
		ahead := r.blob.seeks == fromStart && pos >= r.sequence.want+most
		more := r.sequence.more
		s.mu.Unlock()
		if !ahead {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// arrived takes in n bytes at off, which are in the buffer, and tells who
// waits; a block that is whole now goes to disk after that.
func (r *run) arrived(off int64, n int) {
	b, s, f := r.blob, r.blob.store, r.filling
	f.sum = crc32.Update(f.sum, castagnoli, f.buf.block[off%BlockSize:][:n])
	end := off + int64(n)
	whole := end%BlockSize == 0 || end == b.size
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Fetched += int64(n)
	h := held{floorBlock(off), f.buf}
	fresh := whole && !b.has(off)
	if fresh {
		f.extent.hold(h)
		b.arrive(h.start, f.sum)
	}
	r.advance(end)
	r.wake()
	if end == r.end {
		r.done()
	}
	if fresh {
		r.keep(h)
	}
	s.evict()
	if whole {
		b.consider()
	}
}

// keep puts a block that is in memory on disk. If the disk does not take it, it
// stays in memory for as long as readers need it. Called with mu held; gives it
// up while writing.
func (r *run) keep(h held) {
	b, s, f := r.blob, r.blob.store, r.filling
	if f.extent.distrusted {
		return
	}
	data, index := b.data, b.index
	b.writing++
	s.mu.Unlock()
	_, err := data.WriteAt(h.buf.block[:b.blockLen(h.start)], h.start)
	if err == nil {
		err = writeRecord(index, b.key.salt(), h.start/BlockSize, f.sum)
	}
	s.mu.Lock()
	b.writing--
	if err != nil {
		s.refused(err)
		return
	}
	s.stats.Filled++
	f.extent.drop(h)
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
