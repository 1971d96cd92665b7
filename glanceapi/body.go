package glanceapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Data is a stream of an image's bytes. Body carries exactly [Start, End): it
// ends with io.EOF after byte End-1 and never before, where a cut stream gives
// an error that is Temporary and wraps io.ErrUnexpectedEOF or the network's.
// Start may lie before the offset asked for and End after the range: a service
// that cannot seek sends everything from 0. Body has to be closed, and may be
// closed early.
type Data struct {
	Body       io.ReadCloser
	Start, End int64
}

func (c *conn) data(ctx context.Context, resp *http.Response, cancel context.CancelCauseFunc, start, end int64) Data {
	return Data{Body: &body{ctx: ctx, resp: resp, cancel: cancel, left: end - start, conn: c}, Start: start, End: end}
}

// leastRead is how many bytes come at once, so that a stream that brings them one
// by one is as silent as one that brings none, to whoever times it.
const leastRead = 4 << 10

// A body holds a stream to the length it announced.
type body struct {
	ctx    context.Context // the reader's, to tell its end from a broken line
	resp   *http.Response
	cancel context.CancelCauseFunc
	left   int64
	err    error // what every further Read returns
	conn   *conn
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.left == 0 {
		return 0, b.stop(b.end())
	}
	p = p[:min(int64(len(p)), b.left)]
	n, err := io.ReadAtLeast(b.resp.Body, p, min(len(p), leastRead))
	b.left -= int64(n)
	b.conn.count.bytes.Add(int64(n))
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF && b.left == 0:
		return n, b.stop(io.EOF)
	}
	return n, b.stop(b.conn.broken(b.ctx, opOf(b.resp.Request), requestID(b.resp), err))
}

// end looks behind the last byte. An answer with a length has nothing there; a
// chunked one may.
func (b *body) end() error {
	var more [1]byte
	if n, _ := io.ReadFull(b.resp.Body, more[:]); n > 0 {
		return badAnswer(b.resp, "more data was sent than announced")
	}
	return io.EOF
}

func (b *body) stop(err error) error {
	if err != io.EOF {
		b.conn.count.failures.Add(1)
	}
	b.err = err
	return err
}

// Close may be called while a Read is waiting, and ends it.
func (b *body) Close() error {
	err := b.resp.Body.Close()
	b.cancel(nil)
	if err != nil {
		return fmt.Errorf("closing a stream: %w", err)
	}
	return nil
}
