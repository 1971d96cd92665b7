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

// A run fetches a blob forward from pos for as long as somebody wants what
// lies ahead. All fields but blob and ctx are guarded by Store.mu; what filling
// points to is its own matter.
type run struct {
	blob    *Blob
	ctx     context.Context
	cancel  context.CancelFunc
	filling *filling // set only by the run's goroutine
	pos     int64    // the next byte to arrive
	want    int64    // somebody wants the bytes before
	end     int64    // of the stream asked for, or of the last one
	window  int64    // the least that the next stream asks for
	last    int64    // what the last stream asked for
	waiters []*waiter
	high    int64         // the furthest that pos has been
	mark    int64         // high when the stream under way began
	credit  bool          // the stream before that got further
	moved   time.Time     // when the run last made progress; see advance
	cause   error         // why the last stream broke; nil while all is well
	idle    *time.Timer   // fires when nobody has waited for the grace
	more    chan struct{} // want has grown; holds one
}

// join returns a waiter on the run that will bring the byte at need soonest
// without fetching anything nobody asked for, and starts one where there is
// none. Called with mu held.
func (b *Blob) join(need, end int64) *waiter {
	var best *run
	for _, r := range b.runs {
		if r.pos <= need && need <= r.reach() && (best == nil || r.pos > best.pos) {
			best = r
		}
	}
	switch {
	case best != nil:
		return best.enter(end)
	case b.seeks == unproven && len(b.runs) > 0:
		// Two first streams at once could turn out to be the whole blob
		// twice. Wait for what the first one shows, asking nothing of it.
		return b.runs[0].enter(0)
	default:
		return b.start(floorBlock(need), end).enter(end)
	}
}

// reach is how far a reader may be ahead of r and still be served by it best.
func (r *run) reach() int64 {
	if r.blob.seeks == fromStart {
		return r.blob.size
	}
	return ceilBlock(max(r.want, r.end)) + r.window
}

// start makes a run at pos, a block boundary. Called with mu held.
func (b *Blob) start(pos, want int64) *run {
	s := b.store
	r := &run{blob: b, pos: pos, high: pos, mark: pos, want: want, window: b.tails.follow(pos), more: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(s.ctx)
	b.busy++ // its caller has the files open too
	r.idle = time.AfterFunc(time.Hour, r.abandon)
	r.idle.Stop()
	b.users++
	b.runs = append(b.runs, r)
	s.runs.Go(r.fetch)
	return r
}

func (r *run) grace() time.Duration {
	if r.blob.seeks == fromStart {
		return wholeGrace
	}
	return seekGrace
}

// abandon ends the run if nobody waits for it. It may fire just after somebody
// has come; that one stays, because the check is made under the lock.
func (r *run) abandon() {
	r.blob.store.mu.Lock()
	defer r.blob.store.mu.Unlock()
	if len(r.waiters) == 0 {
		r.cancel()
	}
}

// fetch is the run's goroutine: stream after stream, until nobody wants more,
// somebody else has what follows, or the source gives up.
func (r *run) fetch() {
	s := r.blob.store
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, retryEvery
	var err error
	for {
		off, n := r.next()
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
	if err != nil {
		s.log.Warn("image data not available", "blob", r.blob.key, "offset", r.pos, "err", err)
	}
	r.finish(err)
}

// next decides what to ask for: at least what is wanted, more when reads have
// followed on, never what is here or on its way. n is 0 when there is nothing.
func (r *run) next() (off, n int64) {
	b := r.blob
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if r.ctx.Err() != nil || r.pos >= r.want || r.pos >= b.size || b.has(r.pos) {
		return 0, 0
	}
	if b.seeks == fromStart {
		r.end = b.size
		return r.pos, b.size - r.pos
	}
	if b.filled(r.pos, r) {
		return 0, 0
	}
	if r.last > 0 && r.cause == nil {
		r.window = min(2*r.last, maxWindow)
	}
	end := min(ceilBlock(max(r.want, r.pos+r.window)), b.size)
	for at := floorBlock(r.pos) + BlockSize; at < end; at += BlockSize {
		if b.has(at) || b.filled(at, r) {
			end = at
			break
		}
	}
	r.last, r.end = end-r.pos, end
	return r.pos, r.last
}

// filled reports whether a run other than r is within, or about to begin, the
// block at off. Called with mu held.
func (b *Blob) filled(off int64, r *run) bool {
	return slices.ContainsFunc(b.runs, func(o *run) bool {
		return o != r && floorBlock(o.pos) == floorBlock(off)
	})
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
	if r.cause == nil {
		s.log.Info("image data interrupted, resuming", "blob", r.blob.key, "offset", r.pos, "err", err)
	}
	r.cause = err
	return r.high > r.mark
}

// finish takes the run out of its blob and releases everybody, with err.
func (r *run) finish(err error) {
	b, s := r.blob, r.blob.store
	r.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	r.idle.Stop()
	b.runs = slices.DeleteFunc(b.runs, func(o *run) bool { return o == r })
	if r.filling != nil {
		r.filling.extent.unpin()
		r.filling.giveBack(&s.buffers)
		r.filling = nil
	}
	if err == nil && b.seeks == seekable {
		b.tails.add(ceilBlock(r.pos), r.last)
	}
	for _, w := range r.waiters {
		w.err = err
		close(w.woken)
	}
	r.waiters = nil
	b.busy--
	b.drop()
}
