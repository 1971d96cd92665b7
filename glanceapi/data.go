package glanceapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerTimeout is how long the service may take until the first byte of an
// image. It is longer than for metadata: a remote store has to open the image.
const answerTimeout = 60 * time.Second

// OpenData opens a stream of an image's bytes that covers [off, off+n) as far
// as the image goes. It starts at off where the service can seek, else at 0,
// and may go on after off+n; see [Data]. size is the image's size or
// UnknownSize, off has to lie before it; then the answer has to agree with it.
//
// OpenData sends each request once, twice if the token has to be renewed, and
// does not resume a stream: see [Temporary]. An image without data is
// ErrNoData. An answer that contradicts the request, such as another range or
// size than was asked for, is an error that is not temporary. The stream lives
// until it is closed or ctx ends; how long it may stay silent is the reader's to
// bound.
func (c *Client) OpenData(ctx context.Context, id string, off, n, size int64) (Data, error) {
	if !validID(id) {
		return Data{}, fmt.Errorf("image %q: %w", id, fs.ErrNotExist)
	}
	if off < 0 || n <= 0 || off > math.MaxInt64-n || size >= 0 && off >= size {
		return Data{}, fmt.Errorf("opening %d bytes at %d of image %s: %w", n, off, id, fs.ErrInvalid)
	}
	if size >= 0 {
		n = min(n, size-off)
	}
	path, seekable := c.api.data(id)
	whole := off == 0 && n == size // every store can do that
	if seekable && !whole && c.seek.worthAsking(id, off) {
		d, err := c.openRange(ctx, id, path, off, n, size)
		if !rangeRefused(err) {
			return d, err
		}
		c.seek.answered(id, false)
	}
	return c.openWhole(ctx, id, path, off, size)
}

// rangeRefused recognises the image service's words for a store that cannot
// seek; the status is 400, which has other reasons too.
func rangeRefused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusBadRequest && strings.Contains(e.Message, "randomly from this store")
}

func (c *Client) openRange(ctx context.Context, id, path string, off, n, size int64) (Data, error) {
	last := off + n - 1
	h := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, last)}}
	resp, cancel, err := c.open(ctx, id, path, h, http.StatusPartialContent, http.StatusOK)
	if err != nil {
		return Data{}, err
	}
	if resp.StatusCode == http.StatusOK { // Range is not known here
		return c.conn.wholeData(ctx, resp, cancel, off, size)
	}
	end, err := checkRange(resp, off, last, size)
	if err != nil {
		resp.Body.Close()
		cancel(nil)
		c.conn.count.failures.Add(1)
		return Data{}, err
	}
	c.seek.answered(id, true)
	return c.conn.data(ctx, resp, cancel, off, end), nil
}

func (c *Client) openWhole(ctx context.Context, id, path string, off, size int64) (Data, error) {
	resp, cancel, err := c.open(ctx, id, path, nil, http.StatusOK)
	if e, ok := refused(err, http.StatusNotFound); ok && strings.Contains(e.Message, "not active") {
		e.means = ErrNoData // v1's word for it
	}
	if err != nil {
		return Data{}, err
	}
	return c.conn.wholeData(ctx, resp, cancel, off, size)
}

// open sends a request for the data of an image, and refuses what is something else.
func (c *Client) open(ctx context.Context, id, path string, h http.Header, ok ...int) (*http.Response, context.CancelCauseFunc, error) {
	resp, cancel, err := c.conn.stream(ctx, path, h, ok...)
	if err != nil {
		return nil, nil, err
	}
	if why := c.api.others(resp, id); why != "" {
		c.conn.count.failures.Add(1)
		err := badAnswer(resp, why)
		resp.Body.Close()
		cancel(nil)
		return nil, nil, err
	}
	return resp, cancel, nil
}

// stream sends a request for data. The context that carries the answer ends
// with cancel, or when the answer takes too long to begin.
func (c *conn) stream(ctx context.Context, path string, h http.Header, ok ...int) (*http.Response, context.CancelCauseFunc, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	slow := time.AfterFunc(answerTimeout, func() { cancel(errSlow) })
	resp, err := c.do(ctx, c.http, get(&c.count.data, path, h, append(ok, http.StatusNoContent)...))
	if err != nil {
		slow.Stop()
		cancel(nil)
		return nil, nil, err
	}
	if !slow.Stop() {
		err = c.broken(ctx, opOf(resp.Request), requestID(resp), errSlow)
	} else if resp.StatusCode == http.StatusNoContent {
		e := badAnswer(resp, "")
		e.Err, err = ErrNoData, e
	} else if enc := encoding(resp); enc != "" {
		err = badAnswer(resp, "the data comes encoded as "+enc)
	}
	if err != nil {
		c.count.failures.Add(1)
		resp.Body.Close()
		cancel(nil)
		return nil, nil, err
	}
	return resp, cancel, nil
}

// wholeData makes a stream of an answer that starts at 0.
func (c *conn) wholeData(ctx context.Context, resp *http.Response, cancel context.CancelCauseFunc, off, size int64) (Data, error) {
	end := size
	if end < 0 {
		end = resp.ContentLength
	}
	var why string
	switch {
	case end < 0:
		why = "neither the image nor the answer has a size"
	case resp.ContentLength >= 0 && resp.ContentLength != end:
		why = fmt.Sprintf("%d bytes are sent of an image of %d", resp.ContentLength, end)
	case off >= end:
		why = fmt.Sprintf("offset %d is not in the image of %d bytes", off, end)
	default:
		return c.data(ctx, resp, cancel, 0, end), nil
	}
	c.count.failures.Add(1)
	err := badAnswer(resp, why)
	resp.Body.Close()
	cancel(nil)
	return Data{}, err
}

// checkRange compares a 206 with what was asked for, bytes off to last of an
// image of size, and returns the end of what it carries. The service may send
// less than asked, never something else. Some stores' 206 carries the whole
// image under the header of a part.
func checkRange(resp *http.Response, off, last, size int64) (end int64, err error) {
	text := resp.Header.Get("Content-Range")
	a, b, total, ok := parseContentRange(text)
	switch {
	case !ok || a != off || b < a || b > last || total >= 0 && b >= total || size >= 0 && total >= 0 && total != size:
		return 0, badAnswer(resp, fmt.Sprintf("bytes %d-%d were asked for, of %d, the answer says %q", off, last, size, text))
	case resp.ContentLength >= 0 && resp.ContentLength != b-a+1:
		return 0, badAnswer(resp, fmt.Sprintf("%d bytes are sent as %q", resp.ContentLength, text))
	}
	return b + 1, nil
}

// parseContentRange reads "bytes A-B/TOTAL" (RFC 9110, 14.4); a total of * is -1.
func parseContentRange(s string) (a, b, total int64, ok bool) {
	unit, s, ok := strings.Cut(s, " ")
	ok = ok && strings.EqualFold(unit, "bytes")
	span, size, ok2 := strings.Cut(s, "/")
	first, last, ok3 := strings.Cut(span, "-")
	a, err1 := strconv.ParseInt(first, 10, 64)
	b, err2 := strconv.ParseInt(last, 10, 64)
	total = -1
	var err3 error
	if size != "*" {
		total, err3 = strconv.ParseInt(size, 10, 64)
	}
	ok = ok && ok2 && ok3 && err1 == nil && err2 == nil && err3 == nil && total >= -1 && a >= 0 && b < math.MaxInt64
	return a, b, total, ok
}
