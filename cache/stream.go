package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// errSilent ends a stream that was open but brought nothing.
var errSilent = errors.New("stream went silent")

// stream opens one stream for [off, off+n) and copies it to its end.
func (r *run) stream(off, n int64) error {
	s := r.blob.store
	if err := r.place(); err != nil {
		return err
	}
	defer r.leavePlace()
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	openLimit, readLimit := s.patience()
	silence := time.AfterFunc(openLimit, func() { cancel(errSilent) })
	defer silence.Stop()

	s.mu.Lock()
	src := r.blob.src
	s.stats.Streams++
	if off == r.from {
		r.begun = time.Now()
	}
	s.mu.Unlock()
	st, err := src.Open(ctx, off, n)
	if err != nil {
		return whySilent(ctx, err)
	}
	defer st.Body.Close()
	if st.Start != off && st.Start != 0 || st.End <= off || st.End > r.blob.size {
		return backoff.Permanent(fmt.Errorf("source answered bytes %d to %d for %d to %d", st.Start, st.End, off, off+n))
	}
	r.opened(st, off, n)
	return whySilent(ctx, r.copy(ctx, st, silence, readLimit))
}

// patience is how long a stream may take to open, and to bring its next byte,
// before it counts as broken. Both leave a reader who waits for the store's
// timeout time for another attempt.
func (s *Store) patience() (open, read time.Duration) {
	open, read = 30*time.Second, 15*time.Second
	if s.timeout > 0 {
		open, read = min(open, s.timeout/2), min(read, s.timeout/4)
	}
	return open, read
}

// whySilent returns err, or the reason ctx ended if that is behind it and err does
// not say so, as it does where it also says who was silent.
func whySilent(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilent) && !errors.Is(err, errSilent) {
		return errSilent
	}
	return err
}

// opened records where a stream begins and what that shows of the source.
func (r *run) opened(st Stream, off, n int64) {
	b := r.blob
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	r.answered = time.Now()
	if !r.begun.IsZero() {
		b.store.link.opened(r.answered.Sub(r.begun))
	}
	b.seeks = judge(b.seeks, st, off, n, b.size)
	if b.seeks == fromStart {
		r.end, r.sequence.next = st.End, st.End
	}
	if r.moved.IsZero() {
		r.high, r.mark = st.Start, st.Start // nothing has arrived so far
	}
	r.pos = st.Start
	r.credit, r.mark = r.high > r.mark, r.high
	r.wake()
}
