package glanceapi

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	firstPause = 200 * time.Millisecond
	longPause  = 10 * time.Second

	// attemptTimeout is how long one metadata request may take. The slowest
	// answer of a healthy service, a page of a hundred images from a loaded
	// worker, takes less than a second.
	attemptTimeout = 30 * time.Second
)

// patience bounds a call in time; 0 is no bound.
type patience struct {
	total time.Duration // of the call, whatever it is doing
	again time.Duration // after which no other attempt begins
}

// retry calls op until it succeeds or fails for good, with growing, jittered
// pauses or the ones the service asks for. When p is at an end it returns the
// last temporary error, of an attempt that was not cut short by that if there is one.
// Each retry is counted.
func retry[T any](ctx context.Context, p patience, count *atomic.Int64, op func(context.Context) (T, error)) (T, error) {
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if p.total > 0 {
		bounded, cancel = context.WithTimeoutCause(ctx, p.total, errSlow)
	}
	defer cancel()
	var last error
	v, err := backoff.Retry(bounded, func() (T, error) {
		once, cancel := context.WithTimeoutCause(bounded, attemptTimeout, errSlow)
		defer cancel()
		v, err := op(once)
		if last == nil || bounded.Err() == nil {
			last = err
		}
		return v, pause(err)
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(p.again),
		backoff.WithNotify(func(error, time.Duration) { count.Add(1) }))
	if err == nil {
		return v, nil
	}
	var none T
	if ctx.Err() != nil && !errors.Is(last, context.Cause(ctx)) {
		return none, context.Cause(ctx) // it ended during a pause
	}
	return none, last
}

// pause tells backoff what to do about err.
func pause(err error) error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case !Temporary(err):
		return backoff.Permanent(err)
	case errors.As(err, &e) && e.retryAfter > 0:
		return &backoff.RetryAfterError{Duration: e.retryAfter}
	}
	return err
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = firstPause, longPause
	return b
}
