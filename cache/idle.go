package cache

import (
	"errors"
	"time"
)

// maxIdleWhole bounds the streams of one blob that nobody waits for, where each is the
// whole blob: readers who come back find the latest. Each has a connection of the
// service's, and a part of the cache for what it has fetched ahead.
const maxIdleWhole = 4

// abandon ends the runs of q if nobody waits for them. It may fire just after
// somebody has come; then they stay, because the check is made under the lock.
func (q *sequence) abandon() {
	q.blob.store.mu.Lock()
	defer q.blob.store.mu.Unlock()
	for _, r := range q.blob.runs {
		if r.sequence == q && r.isIdle() {
			r.cancel()
		}
	}
}

// isIdle reports whether nobody waits for r or another run of its sequence. One that
// is ending is not idle any more. Called with mu held.
func (r *run) isIdle() bool { return r.sequence.waiters == 0 && r.ctx.Err() == nil }

// longestIdle returns the one of several runs that nobody has waited for the longest,
// and how many of them are idle. Called with mu held.
func longestIdle(runs []*run) (longest *run, idle int) {
	for _, r := range runs {
		if !r.isIdle() {
			continue
		}
		idle++
		if longest == nil || r.sequence.left.Before(longest.sequence.left) {
			longest = r
		}
	}
	return longest, idle
}

// spare ends whole streams that nobody waits for, but for the latest. Called with mu
// held.
func (b *Blob) spare() {
	for {
		r, idle := longestIdle(b.runs)
		if idle <= maxIdleWhole {
			return
		}
		r.cancel()
	}
}

// errTaken is why nothing arrives while as many streams are open as may be.
var errTaken = errors.New("all streams are taken by other readers")

// hurriedGrace is the grace of a sequence while others wait for a place: enough for a
// reader who reads on.
const hurriedGrace = 100 * time.Millisecond

// place waits until r may open one more stream; if there is no place left, one that
// nobody waits for makes way, at once or when it comes to that.
func (r *run) place() error {
	s := r.blob.store
	var err error
	free := s.places.TryAcquire(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !free {
		if !r.isIdle() {
			s.makeWay()
		}
		if r.cause == nil {
			r.cause = errTaken
		}
		s.queued++
		s.mu.Unlock()
		err = s.places.Acquire(r.ctx, 1)
		s.mu.Lock()
		s.queued--
	}
	r.placed = err == nil
	return err
}

// makeWay ends the stream that nobody has waited for the longest. Called with mu held.
func (s *Store) makeWay() {
	var open []*run
	for _, b := range s.blobs {
		for _, r := range b.runs {
			if r.placed {
				open = append(open, r)
			}
		}
	}
	if r, _ := longestIdle(open); r != nil {
		r.cancel()
	}
}

// leavePlace undoes place.
func (r *run) leavePlace() {
	s := r.blob.store
	s.mu.Lock()
	r.placed = false
	s.mu.Unlock()
	s.places.Release(1)
}
