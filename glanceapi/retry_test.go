package glanceapi

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetry(t *testing.T) {
	busy := &Error{Op: "x", Status: 503, temporary: true}
	wait := &Error{Op: "x", Status: 429, temporary: true, retryAfter: 7 * time.Second}
	never := &Error{Op: "x", Status: 404}
	for _, c := range []struct {
		name     string
		p        patience
		errs     []error // of one attempt after the other; the last one's is repeated
		want     error
		attempts int // 0 for any
		min, max time.Duration
	}{
		{"at once", patience{}, []error{nil}, nil, 1, 0, 0},
		{"for good", patience{}, []error{never}, never, 1, 0, 0},
		{"twice", patience{}, []error{busy, busy, nil}, nil, 3, 200 * time.Millisecond, 800 * time.Millisecond},
		{"for good, later", patience{}, []error{busy, never}, never, 2, 100 * time.Millisecond, 300 * time.Millisecond},
		{"as told", patience{}, []error{wait, nil}, nil, 2, 7 * time.Second, 7 * time.Second},
		{"told too late", patience{5 * time.Second, 5 * time.Second}, []error{wait, nil}, wait, 1, 0, 0},
		{"in vain", patience{time.Minute, time.Minute}, []error{busy}, busy, 0, 40 * time.Second, time.Minute},
		{"in vain, at the start", patience{again: 3 * time.Second}, []error{busy}, busy, 0, time.Second, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count atomic.Int64
				n, start := 0, time.Now()
				_, err := retry(t.Context(), c.p, &count, func(context.Context) (int, error) {
					n++
					return n, c.errs[min(n, len(c.errs))-1]
				})
				took := time.Since(start)
				if !errors.Is(err, c.want) || c.attempts > 0 && n != c.attempts || took < c.min || took > c.max {
					t.Errorf("%v after %d attempts and %v", err, n, took)
				}
				if got := int(count.Load()); got != n-1 {
					t.Errorf("%d retries counted for %d attempts", got, n)
				}
			})
		})
	}
}

// An attempt that hangs is given up, and another one made.
func TestRetryHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		n := 0
		_, err := retry(t.Context(), patience{}, &count, func(ctx context.Context) (int, error) {
			if n++; n == 1 {
				<-ctx.Done()
				return 0, netError(ctx, "x", "", io.EOF)
			}
			return n, nil
		})
		if err != nil || n != 2 {
			t.Errorf("%v after %d attempts", err, n)
		}
	})
}

// An attempt that the end of the call cuts short says less than the one before it.
func TestRetryCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &Error{Op: "x", Status: 503, temporary: true}
		var count atomic.Int64
		n := 0
		_, err := retry(t.Context(), patience{total: 5 * time.Second}, &count, func(ctx context.Context) (int, error) {
			if n++; n == 1 {
				return 0, busy
			}
			<-ctx.Done()
			return 0, netError(ctx, "x", "", io.EOF)
		})
		if !errors.Is(err, busy) || n != 2 {
			t.Errorf("%v after %d attempts", err, n)
		}
	})
}

func TestRetryCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var count atomic.Int64
		_, err := retry(ctx, patience{}, &count, func(context.Context) (int, error) {
			return 0, &Error{Op: "x", Status: 503, temporary: true}
		})
		if !errors.Is(err, context.DeadlineExceeded) || Temporary(err) {
			t.Errorf("%v", err)
		}
	})
}
