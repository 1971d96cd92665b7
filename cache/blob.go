package cache

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A Blob is one open blob: immutable bytes of a known size, some of them on
// disk.
type Blob struct {
	store *Store
	header
	opening sync.Mutex // held while files are opened and read in; taken before Store.mu

	// The rest is guarded by Store.mu.
	files
	fetching
	trust
	users   int   // openers, runs and checks; the last one leaves no empty blob behind
	busy    int   // those who need the files open
	pins    int   // holders of Complete
	cached  int64 // bytes present
	lost    int   // blocks that were present, counted
	held    int   // blocks among them that only memory has
	writing int   // blocks among these that are on their way to disk
	extents map[int64]*extent
	doomed  bool // gone from its source

	elsewhere time.Time // when its file was last found open elsewhere
	lamented  time.Time // when it was last logged that it cannot be had
}

// files are what a blob is on disk.
type files struct {
	data    *os.File // sparse, as long as the blob at most
	index   *os.File
	loaded  bool  // the index has been read
	refused error // why they are not to be written; nil if they are
}

// fetching is how a blob gets what is missing.
type fetching struct {
	src       Source
	runs      []*run
	seeks     seekability
	sequences []*sequence // the latest first
}

// Size is the length of the blob in bytes.
func (b *Blob) Size() int64 { return b.size }

// Cached is how many of the blob's bytes are here.
func (b *Blob) Cached() int64 {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.cached
}

// Has reports whether the bytes [off, end) are here, as far as the blob has them.
func (b *Blob) Has(off, end int64) bool {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	end = min(end, b.size)
	return off >= end || b.missing(off, end) == end
}

// Close ends the use of b. Runs that others wait for go on.
func (b *Blob) Close() error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.drop()
	return nil
}

// onDisk returns the files of b, which its caller has open, to be written.
func (b *Blob) onDisk() (data, index *os.File, err error) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if b.data == nil {
		return nil, nil, ErrClosed
	}
	return b.data, b.index, b.refused
}

// ReadAt reads as io.ReaderAt does, and fetches what is missing. It returns
// early, with what it has, when ctx ends, when the source gives up, or when no
// byte arrived for the store's timeout. It may be called concurrently.
func (b *Blob) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	if off >= b.size {
		return 0, io.EOF
	}
	var eof error
	if rest := b.size - off; int64(len(p)) > rest {
		p, eof = p[:rest], io.EOF
	}
	done := 0
	for done < len(p) {
		// One extent at a time: it is what a pin protects.
		at := off + int64(done)
		part := p[done:min(int64(len(p)), int64(done)+ExtentSize-at%ExtentSize)]
		n, err := b.readExtent(ctx, part, at)
		done += n
		if err != nil {
			return done, err
		}
	}
	b.store.served.Add(int64(done))
	return done, eof
}

// maxSpoiled is how often a read finds bytes spoiled on disk, and fetches them
// again, before it gives up.
const maxSpoiled = 3

// readExtent reads all of p, which lies within one extent.
func (b *Blob) readExtent(ctx context.Context, p []byte, off int64) (int, error) {
	s := b.store
	if err := b.grab(); err != nil {
		return 0, err
	}
	defer b.letGo()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := b.pin(off)
	defer e.unpin()
	for try := 0; ; try++ {
		if err := b.await(ctx, off, off+int64(len(p))); err != nil {
			return 0, err
		}
		if b.data == nil {
			return 0, ErrClosed
		}
		if e.present != 0 {
			s.lru.Add(e, struct{}{})
		}
		x, lost := b.excerpt(e, off, off+int64(len(p))), e.lost
		s.mu.Unlock()
		bad := x.read(&s.buffers, p, off)
		s.mu.Lock()
		x.close(s)
		if len(bad) == 0 {
			return len(p), nil
		}
		if s.ctx.Err() != nil {
			return 0, ErrClosed
		}
		if e.lost != lost {
			try-- // others have found out, and what was read may have come anew since
			continue
		}
		if try == maxSpoiled {
			return 0, errSpoiled
		}
		b.spoiled(e, bad, try > 0)
	}
}

// missing returns the first byte of [off, end) that is not here, or end.
// Called with mu held.
func (b *Blob) missing(off, end int64) int64 {
	for off < end && b.has(off) {
		off = floorBlock(off) + BlockSize
	}
	return min(b.tip(off), end)
}

// tip returns how far the block at off has arrived, in the buffer of a run that
// is within it, or off when there is no such run. A run that has reached the end
// of the blob is within no block, although the last one may be short. Called
// with mu held.
func (b *Blob) tip(off int64) int64 {
	if r := b.within(off); r != nil {
		return max(off, r.pos)
	}
	return off
}

// within returns the run that has some but not all of the block at off in its
// buffer, or nil. Called with mu held.
func (b *Blob) within(off int64) *run {
	for _, r := range b.runs {
		if r.pos < b.size && r.pos%BlockSize != 0 && floorBlock(r.pos) == floorBlock(off) {
			return r
		}
	}
	return nil
}

// await returns when [off, end), within one pinned extent, is here. Called
// with mu held; gives it up while waiting.
func (b *Blob) await(ctx context.Context, off, end int64) error {
	need := b.missing(off, end)
	if need == end {
		b.store.stats.Hits++
		return nil
	}
	b.store.stats.Misses++
	for ; need < end; need = b.missing(off, end) {
		if b.store.ctx.Err() != nil {
			return ErrClosed
		}
		w := b.join(need, end)
		err := w.wait(ctx)
		w.run.leave(w)
		if err != nil {
			return err
		}
	}
	return nil
}
