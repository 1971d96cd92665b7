package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retryEvery is how often, about, a source that fails is tried again. It is
// often, because readers wait; every run of every blob does so.
const retryEvery = time.Second

// A run fetches the pieces of a sequence, one after the other, each as one stream
// or, where that breaks, several. All fields but ctx and those above it are
// guarded by Store.mu; what filling points to is its own matter.
type run struct {
	blob     *Blob
	sequence *sequence
	cancel   context.CancelFunc
	ctx      context.Context

	filling *filling // set only by the run's goroutine
	piece
	pos     int64 // the next byte to arrive
	waiters []*waiter
	placed  bool      // it has a place among the open streams
	high    int64     // the furthest that pos has been in this piece
	mark    int64     // high when the stream under way began
	credit  bool      // the stream before that got further
	moved   time.Time // when the run last made progress; see advance
	cause   error     // why the last stream broke; nil while all is well
}

// A piece is what a run has to fetch. One that ends at pos is done.
type piece struct {
	from, end int64
	lanes     int       // its sequence was to have so many
	begun     time.Time // when a stream was asked for; zero when that broke
	answered  time.Time // when it opened
}

// join returns a waiter on the run that has the byte at need to fetch, and
// starts one where there is none. A reader that wakes looks again. Called with
// mu held.
func (b *Blob) join(need, end int64) *waiter {
	if r := b.fetching.of(need); r != nil {
		return r.enter(end)
	}
	if b.seeks == unproven && len(b.runs) > 0 {
		// Two first streams at once could turn out to be the whole blob
		// twice. Wait for what the first one shows, asking nothing of it.
		return b.runs[0].enter(0)
	}
	q := b.follow(need)
	q.raise(end)
	q.fill()
	r := b.fetching.of(need)
	for _, o := range b.runs {
		// All are busy: the first to be done will take the piece.
		if o.sequence == q && o.pos < o.end && (r == nil || r.end-r.pos > o.end-o.pos) {
			r = o
		}
	}
	return r.enter(end)
}

// of returns the run that has the byte at off still to fetch, or nil; of whole streams
// the one that is nearest.
func (f *fetching) of(off int64) (nearest *run) {
	for _, r := range f.runs {
		if r.pos <= off && off < r.end && (nearest == nil || r.pos > nearest.pos) {
			nearest = r
		}
	}
	return nearest
}

// take gives r its next piece, and reports whether there was one. Called with mu
// held.
func (r *run) take() bool {
	start, end := r.sequence.take()
	if start == end {
		return false
	}
	r.piece = piece{from: start, end: end, lanes: r.sequence.allowed()}
	r.pos, r.high, r.mark = start, start, start
	return true
}

// start begins to fetch what r has taken. Called with mu held.
func (r *run) start() {
	r.ctx, r.cancel = context.WithCancel(r.blob.store.ctx)
	r.sequence.active++
	r.blob.busy++ // its caller has the files open too
	r.blob.users++
	r.blob.runs = append(r.blob.runs, r)
	r.blob.store.runs.Go(r.fetch)
}

// fetch is the run's goroutine: stream after stream, until there is no further
// piece, nobody wants one, or the source gives up.
func (r *run) fetch() {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, retryEvery
	var err error
	for {
		off, n := r.rest()
		if n == 0 {
			err = nil
			break
		}
		if err = r.stream(off, n); err == nil {
			pause.Reset()
			continue
		}
		if r.ctx.Err() != nil {
			err = nil
			break
		}
		var permanent *backoff.PermanentError
		if errors.As(err, &permanent) {
			err = permanent.Unwrap()
			break
		}
		if r.broken(err) {
			pause.Reset()
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-r.ctx.Done():
		}
	}
	r.finish(err)
}

// rest is what is left of the piece; n is 0 when there is nothing.
func (r *run) rest() (off, n int64) {
	r.blob.store.mu.Lock()
	defer r.blob.store.mu.Unlock()
	if r.ctx.Err() != nil {
		return 0, 0
	}
	return r.pos, r.end - r.pos
}

// done learns from a piece that has arrived, and takes the next. Called with mu
// held.
func (r *run) done() {
	q := r.sequence
	if now, n := time.Now(), r.end-r.from; !r.begun.IsZero() {
		r.blob.store.link.carried(n, now.Sub(r.answered))
		q.lanes.carried(r.lanes, n, r.begun, now)
	}
	if !r.take() {
		q.active--
	}
	q.fill()
}

// advance records that the bytes before end have arrived. That is progress when
// the run was never further. A stream that has to begin at 0 again makes
// progress too on the way to where the last one ended, but only if that one had
// got further itself: streams that always break at the same place make none.
// Called with mu held.
func (r *run) advance(end int64) {
	r.pos = end
	if end > r.high || r.credit {
		r.moved, r.cause = time.Now(), nil
	}
	r.high = max(r.high, end)
}

// broken records why a stream ended early, and reports whether it had got
// further than any before. The first break in a row is logged.
func (r *run) broken(err error) (further bool) {
	s := r.blob.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Broken++
	if r.cause == nil || r.cause == errTaken {
		s.log.Info("image data interrupted, resuming", "blob", r.blob.key, "offset", r.pos, "err", err)
	}
	r.cause, r.begun = err, time.Time{}
	return r.high > r.mark
}

// finish takes the run out of its blob and releases everybody, with err.
func (r *run) finish(err error) {
	b, s, q := r.blob, r.blob.store, r.sequence
	r.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); err != nil && now.Sub(b.lamented) > complainEvery { // for who reads it may do so again and again
		b.lamented = now
		s.log.Warn("image data not available", "blob", b.key, "offset", r.pos, "err", err)
	}
	b.runs = slices.DeleteFunc(b.runs, func(o *run) bool { return o == r })
	if r.filling != nil {
		r.filling.extent.unpin()
		s.giveBack(r.filling.buf)
		r.filling = nil
	}
	if r.pos < r.end {
		q.active--
		q.next = min(q.next, floorBlock(r.pos)) // so that whoever comes back goes on there
	}
	for _, w := range r.waiters {
		w.err = err
		close(w.woken)
	}
	r.waiters = nil
	b.busy--
	b.drop()
}
