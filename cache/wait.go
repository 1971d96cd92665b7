package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrTimeout ends a read that waited for the store's timeout without progress.
var ErrTimeout = errors.New("source does not answer")

// A waiter is one reader waiting for one run.
type waiter struct {
	run   *run
	until int64 // it wants the bytes before
	woken chan struct{}
	err   error // set before woken is closed
}

// lookEvery is how often a waiter asks its context, which may know of its end
// although its Done does not tell.
const lookEvery = time.Second

// wait returns when the run has passed w.until or ended, with the run's error
// if that is why; when ctx ends; or when nothing has arrived for the store's
// timeout. What is counted are looks and not the clock: while this process was stopped,
// or its host was, nothing could arrive. Called with mu held; gives it up while waiting.
func (w *waiter) wait(ctx context.Context) error {
	r, s := w.run, w.run.blob.store
	moved, silent := r.moved, time.Duration(0)
	every := lookEvery
	if s.timeout > 0 {
		every = min(every, max(s.timeout/8, time.Millisecond))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	s.mu.Unlock()
	defer s.mu.Lock()
	for {
		select {
		case <-w.woken:
			return w.err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := ctx.Err(); err != nil {
				return err
			}
			s.mu.Lock()
			if silent += every; r.moved != moved {
				moved, silent = r.moved, 0
			}
			cause := r.cause
			s.mu.Unlock()
			if s.timeout > 0 && silent >= s.timeout {
				return fmt.Errorf("nothing arrived for %s: %w", s.timeout, errors.Join(ErrTimeout, cause))
			}
		}
	}
}

// enter adds a waiter for the bytes before until, or for those before the end of
// the piece. Called with mu held.
func (r *run) enter(until int64) *waiter {
	w := &waiter{run: r, until: min(until, r.end), woken: make(chan struct{})}
	r.waiters = append(r.waiters, w)
	r.sequence.enter()
	r.sequence.raise(until)
	r.sequence.fill()
	return w
}

// leave removes w, if the run has not already. Called with mu held.
func (r *run) leave(w *waiter) {
	if i := slices.Index(r.waiters, w); i >= 0 {
		r.waiters = slices.Delete(r.waiters, i, i+1)
	}
	r.sequence.leave()
}

// wake releases the waiters whose bytes have passed. Called with mu held.
func (r *run) wake() {
	r.waiters = slices.DeleteFunc(r.waiters, func(w *waiter) bool {
		if w.until > r.pos {
			return false
		}
		close(w.woken)
		return true
	})
}
