package cache

import "errors"

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

// slot waits until r may open one more stream; if there is none left, one that nobody
// waits for makes way.
func (r *run) slot() error {
	s := r.blob.store
	if s.slots.TryAcquire(1) {
		return nil
	}
	s.mu.Lock()
	var all []*run
	for _, b := range s.blobs {
		all = append(all, b.runs...)
	}
	if idle, _ := longestIdle(all); idle != nil {
		idle.cancel()
	}
	if r.cause == nil {
		r.cause = errTaken
	}
	s.mu.Unlock()
	return s.slots.Acquire(r.ctx, 1)
}
