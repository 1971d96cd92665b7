package cache

import (
	"context"
	"hash/crc32"
	"io"
	"time"
)

// A filling is the block a run is at, and those before it that are not on disk yet.
// Until it is whole it is in memory only, for readers too: what is on disk without a
// checksum cannot be told from rubbish.
//
// The run's goroutine writes to buf from run.pos on, without a lock; readers
// read what is before. They may still do so when the run has gone on to its next
// block, which then gets another buffer.
type filling struct {
	extent *extent  // pinned
	sum    uint32   // of what has arrived
	buf    *buffer  // set under Store.mu
	unkept []held   // whole, one after the other, of extent, and each a use of its buffer
	sums   []uint32 // of these
}

// copy takes in what arrives, and wakes who waited for it.
func (r *run) copy(ctx context.Context, st Stream, silence *time.Timer, limit time.Duration) error {
	defer r.keepRest()
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
		r.keep()
		f.extent.unpin()
		f.extent = b.pin(pos)
	}
	for f.extent.punching {
		s.freed.Wait()
	}
	f.sum = 0
}

// wholeAhead is how far ahead of its readers a stream is read, in bytes, that cannot be
// had from anywhere but the start. If they take longer than the grace to come that
// far, all of it is to be fetched again; so it is read further ahead by as much as they
// have read, and comes to its end once they have read half. But not so far that in a
// small cache what they have not read makes way for what comes after it.
const wholeAhead = 64 << 20

// room waits while the stream is further ahead of its readers than is of use.
func (r *run) room(ctx context.Context, pos int64) error {
	s := r.blob.store
	for {
		s.mu.Lock()
		want := r.sequence.want
		ahead := r.blob.seeks == fromStart && pos >= want+min(max(wholeAhead, want), s.room.size/2)
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
// waits; blocks that are whole go to disk after that, several at a time.
func (r *run) arrived(off int64, n int) {
	b, s, f := r.blob, r.blob.store, r.filling
	f.sum = crc32.Update(f.sum, castagnoli, f.buf.block[off%BlockSize:][:n])
	end := off + int64(n)
	whole := end%BlockSize == 0 || end == b.size
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Fetched += int64(n)
	fresh := whole && !b.has(off)
	if fresh {
		h := held{floorBlock(off), f.buf}
		f.extent.hold(h)
		h.buf.users++ // the extent may let go of it before it is written
		f.unkept, f.sums = append(f.unkept, h), append(f.sums, f.sum)
		b.writing++
		b.arrive(h.start, f.sum)
	}
	r.advance(end)
	r.wake()
	if end == r.end {
		r.done()
	}
	if whole && (!fresh || end%keepSize == 0) {
		r.keep()
	}
	s.evict(fewExtents)
	if whole {
		b.consider()
	}
}
