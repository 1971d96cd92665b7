package glanceapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"
)

const (
	// maxResends bounds how often an upload whose body has begun to flow starts
	// over. What breaks twice, such as a proxy's time limit, breaks every time.
	maxResends = 1

	// settleRate is what a service is taken to need at least, in bytes a second,
	// to put the last byte of an image where it belongs: a proxy may have kept
	// everything to itself until then, a store may join parts.
	settleRate = 32 << 20
)

// UploadOptions says what is known of an upload beyond its bytes.
type UploadOptions struct {
	Store string // the backing store; "" for the service's own choice
	MD5   string // of the data, lower-case hex; "" if it is not known. v1 services compare it
	// Progress is called with the bytes handed to the network so far, often and
	// from another goroutine, but not after Upload has returned. The count falls
	// back to 0 when the data has to be sent again.
	Progress func(sent int64)
}

// Upload sends size bytes of data as the data of a queued image and returns
// when the service has answered that it has them. It compares nothing
// afterwards; the service does not either.
//
// A service that refuses before it reads is sent nothing. While it says that a
// later try may succeed it is tried again, for the Config's Timeout; an upload
// that broke in the midst is sent once more, from the start, when the service
// has the image back in the queue. An upload that has not moved for the Timeout
// is ErrStalled. Errors that mean something else than elsewhere: fs.ErrInvalid
// for formats that are not set, an unknown store or data that is refused,
// ErrConflict for an image that is not queued, ErrTooLarge for a quota,
// fs.ErrNotExist for an image that was deleted meanwhile. data is not read after
// Upload has returned.
func (c *Client) Upload(ctx context.Context, id string, data io.ReaderAt, size int64, o UploadOptions) error {
	if !validID(id) {
		return fmt.Errorf("image %q: %w", id, fs.ErrNotExist)
	}
	if size < 0 {
		return invalid("uploading %d bytes", size)
	}
	cl, err := c.api.upload(ctx, id, size, o)
	if err != nil {
		return err
	}
	u := upload{client: c, id: id, call: cl, data: data, size: size, progress: o.Progress}
	return u.run(ctx)
}

// An upload is one Upload with all its tries.
type upload struct {
	client   *Client
	id       string
	call     call
	data     io.ReaderAt
	size     int64
	progress func(int64)
	sent     atomic.Int64 // bytes of the present try
	moved    time.Time    // when the last try ended that sent any
	resends  int
}

func (u *upload) run(ctx context.Context) error {
	u.moved = time.Now()
	pauses := newBackOff()
	for {
		err := u.try(ctx)
		if err == nil || !u.worthAgain(err) {
			return err
		}
		// Whoever answers 502 or 504, or not at all, may have passed everything on.
		if done, serr := u.settle(ctx); done || serr != nil {
			return u.both(err, serr)
		}
		pause := pauses.NextBackOff()
		var e *Error
		if errors.As(err, &e) && e.retryAfter > 0 {
			if limit := u.client.conn.timeout; limit > 0 && time.Since(u.moved)+e.retryAfter > limit {
				return err // who waits is not to wait as long as the service likes
			}
			pause = max(pause, e.retryAfter)
		}
		u.client.conn.count.retries.Add(1)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// worthAgain decides after a try that failed with err.
func (u *upload) worthAgain(err error) bool {
	if !Temporary(err) || errors.Is(err, ErrStalled) {
		return false
	}
	if u.sent.Load() > 0 {
		u.resends++
		u.moved = time.Now()
	}
	limit := u.client.conn.timeout
	return u.resends <= maxResends && (limit == 0 || time.Since(u.moved) < limit)
}

// both is the error of a try and of what was found after it, nil if the image
// was found to be filled.
func (u *upload) both(err, after error) error {
	switch {
	case after == nil:
		return nil
	case errors.Is(after, fs.ErrNotExist):
		return after // deleted meanwhile
	}
	return fmt.Errorf("%w; then: %w", err, after)
}

// settle waits until the service has noticed that a try is over. It returns
// whether the image has its data all the same, and an error if there is no
// point in sending it again.
func (u *upload) settle(ctx context.Context) (done bool, err error) {
	start, pauses, limit := time.Now(), newBackOff(), u.client.conn.timeout
	for {
		i, err := u.client.Image(ctx, u.id)
		switch {
		case err != nil:
			return false, err
		case i.Status == "active" && i.Size == u.size:
			return true, nil
		case i.Status == "queued":
			return false, nil
		case i.Status != "saving" || limit > 0 && time.Since(start) > limit:
			return false, fmt.Errorf("the image is %s, with %d bytes", i.Status, max(0, i.Size))
		}
		select {
		case <-time.After(pauses.NextBackOff()):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// try sends the image once, twice if the token is refused, and watches that it
// moves.
func (u *upload) try(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newWatch(u.client.conn.timeout, func() { cancel(ErrStalled) })
	defer w.stop()
	u.sent.Store(0)
	var bodies []*uploadBody
	defer func() {
		cancel(nil)
		for _, b := range bodies {
			<-b.closed // net/http may still read it after the answer
		}
	}()
	cl := u.call
	cl.size = u.size
	if u.size > 0 || cl.chunks {
		cl.header = cl.header.Clone()
		cl.header.Set("Expect", "100-continue")
		cl.body = func() io.ReadCloser {
			b := u.body(w)
			bodies = append(bodies, b)
			return b
		}
	}
	cl.header.Set("Content-Type", "application/octet-stream")
	resp, err := u.client.conn.do(ctx, u.client.conn.upload, cl)
	if err != nil {
		return u.readError(bodies, err)
	}
	answer, err := u.client.conn.whole(ctx, resp)
	if err != nil {
		return err
	}
	if sent := u.sent.Load(); sent != u.size {
		return badAnswer(resp, fmt.Sprintf("the answer came after %d of %d bytes", sent, u.size))
	}
	if cl.accept != nil {
		return cl.accept(answer)
	}
	return nil
}

// readError puts right an error that was ours: data that cannot be read is
// neither the network's fault nor to be tried again.
func (u *upload) readError(bodies []*uploadBody, err error) error {
	for _, b := range bodies {
		if failed := b.failed.Load(); failed != nil {
			return fmt.Errorf("reading the data of image %s: %w", u.id, *failed)
		}
	}
	return err
}

func (u *upload) body(w *watch) *uploadBody {
	u.count(-u.sent.Load())
	return &uploadBody{u: u, r: io.NewSectionReader(u.data, 0, u.size), watch: w, closed: make(chan struct{})}
}

func (u *upload) count(n int64) {
	sent := u.sent.Add(n)
	if u.progress != nil {
		u.progress(sent)
	}
}

// An uploadBody is the data on its way. net/http reads it until it has size
// bytes, then once more, and closes it when it is done with it, from another
// goroutine than the one that waits for the answer.
type uploadBody struct {
	u      *upload
	r      *io.SectionReader
	watch  *watch
	failed atomic.Pointer[error]
	once   atomic.Bool
	closed chan struct{}
}

// Read is called when what was read before is on its way, so the upload moves.
func (b *uploadBody) Read(p []byte) (int, error) {
	b.watch.moved(0)
	n, err := b.r.Read(p)
	b.u.client.conn.count.sent.Add(int64(n))
	b.u.count(int64(n))
	switch at, _ := b.r.Seek(0, io.SeekCurrent); {
	case at == b.u.size:
		b.watch.moved(time.Duration(float64(b.u.size) / settleRate * float64(time.Second)))
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // the file has become shorter
	}
	if err != nil && err != io.EOF {
		b.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (b *uploadBody) Close() error {
	if b.once.CompareAndSwap(false, true) {
		close(b.closed)
	}
	return nil
}

// A watch calls back when nothing has moved for its limit; 0 is no limit. It counts looks
// and not the clock: while this process was stopped, or its host was, nothing could move.
type watch struct {
	limit time.Duration
	left  atomic.Int64 // nanoseconds
	ended chan struct{}
}

func newWatch(limit time.Duration, stalled func()) *watch {
	w := &watch{limit: limit, ended: make(chan struct{})}
	if limit > 0 {
		w.moved(0)
		go w.look(min(time.Second, max(limit/8, time.Millisecond)), stalled)
	}
	return w
}

func (w *watch) look(every time.Duration, stalled func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-w.ended:
			return
		case <-tick.C:
			if w.left.Add(-int64(every)) <= 0 {
				stalled()
				return
			}
		}
	}
}

// moved gives the limit once more, and grace.
func (w *watch) moved(grace time.Duration) { w.left.Store(int64(w.limit + grace)) }

func (w *watch) stop() { close(w.ended) }
