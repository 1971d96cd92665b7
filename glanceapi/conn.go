package glanceapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	requestIDHeader = "X-Openstack-Request-Id"
	tokenHeader     = "X-Auth-Token"
)

// maxDocument bounds one JSON answer. A hundred images with all the properties
// and tags the service allows are some 10 MB.
const maxDocument = 16 << 20

// A conn carries requests to one endpoint, whatever version of the API they
// belong to.
type conn struct {
	http    *http.Client
	upload  *http.Client // with a new connection for each request
	base    string       // the endpoint, without a slash at the end
	auth    authenticator
	timeout time.Duration
	log     *slog.Logger
	count   *counters
}

// An authenticator knows the token to send.
type authenticator interface {
	token() string
	// project is the id of the project that asks, "" if it is not known.
	project() string
	// expires is when the token ends, zero if that is not known.
	expires() time.Time
	// renew replaces the token old, which was refused, unless that has been
	// done already. errFixedToken says that there is no other, errFresh that
	// another has just been no better.
	renew(ctx context.Context, old string) error
	// inVain is told when the token that renew has brought is refused too.
	inVain()
}

// A call is one request to the service, without what every request has.
type call struct {
	kind   *atomic.Int64 // counts it
	method string
	path   string
	header http.Header
	body   func() io.ReadCloser      // makes the body anew each time it is sent; nil for none
	size   int64                     // of the body
	chunks bool                      // sends the body chunked, also an empty one
	ok     []int                     // the statuses of success
	accept func(answer []byte) error // checks the answer to an upload; nil for nothing to check
}

// get is a call without a body.
func get(kind *atomic.Int64, path string, header http.Header, ok ...int) call {
	return call{kind: kind, method: http.MethodGet, path: path, header: header, ok: ok}
}

// do sends cl through h and returns an answer of one of its good statuses, or
// an *Error. A refused token is renewed and the request sent once more.
func (c *conn) do(ctx context.Context, h *http.Client, cl call) (*http.Response, error) {
	token := c.auth.token()
	resp, err := c.once(ctx, h, cl, token)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized {
		return resp, err
	}
	switch err := c.auth.renew(ctx, token); {
	case errors.Is(err, errFixedToken):
		return nil, refusal
	case errors.Is(err, errFresh):
		refusal.temporary = true
		return nil, refusal
	case err != nil:
		return nil, err
	}
	resp, err = c.once(ctx, h, cl, c.auth.token())
	// Keystone has just confirmed the token. The image service answers 401,
	// never 503, also when it cannot reach Keystone to ask about one.
	if errors.As(err, &refusal) && refusal.Status == http.StatusUnauthorized {
		refusal.temporary = true
		c.auth.inVain()
	}
	return resp, err
}

func (c *conn) once(ctx context.Context, h *http.Client, cl call, token string) (*http.Response, error) {
	id := newRequestID()
	req, err := c.request(ctx, cl, token, id)
	if err != nil {
		return nil, err
	}
	cl.kind.Add(1)
	resp, err := h.Do(req)
	if err != nil {
		c.count.failures.Add(1)
		return nil, c.broken(ctx, opOf(req), id, err)
	}
	c.count.answered(resp.StatusCode)
	if slices.Contains(cl.ok, resp.StatusCode) {
		return resp, nil
	}
	c.count.failures.Add(1)
	return nil, answerError(resp)
}

func (c *conn) request(ctx context.Context, cl call, token, id string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, cl.method, c.base+cl.path, nil)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	for k, v := range cl.header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "application/json") // else errors are HTML
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "glancefs")
	req.Header.Set(requestIDHeader, id)
	if token != "" {
		req.Header.Set(tokenHeader, token)
	}
	if cl.body != nil {
		req.Body, req.ContentLength = cl.body(), cl.size
	}
	if cl.chunks {
		req.ContentLength, req.TransferEncoding = -1, []string{"chunked"}
	}
	// Or net/http sends the body to whoever refuses it before, unless the answer says
	// that the connection ends.
	req.Close = req.Header.Get("Expect") != ""
	return req, nil
}

// exchange does a call for metadata, once, and returns the whole answer.
func (c *conn) exchange(ctx context.Context, cl call) ([]byte, http.Header, error) {
	return c.exchangeBy(ctx, c.http, cl)
}

func (c *conn) exchangeBy(ctx context.Context, h *http.Client, cl call) ([]byte, http.Header, error) {
	resp, err := c.do(ctx, h, cl)
	if err != nil {
		return nil, nil, err
	}
	b, err := c.whole(ctx, resp)
	return b, resp.Header, err
}

// repeat is exchange with retries, for calls that do no harm when they are
// carried out twice. tries is how often it was sent: after the first the
// service may answer to what it has done already.
func (c *conn) repeat(ctx context.Context, cl call) (b []byte, h http.Header, tries int, err error) {
	b, err = retry(ctx, patience{total: c.timeout, again: c.timeout}, &c.count.retries, func(ctx context.Context) ([]byte, error) {
		tries++
		answer, header, err := c.exchange(ctx, cl)
		h = header
		return answer, err
	})
	return b, h, tries, err
}

// sendOnce is exchange for a call that does harm when it is carried out twice: it is tried
// again only for as long as no connection can be made. It has a connection of its own: of
// one that has been idle nobody can tell whether it was lost before or after the call.
func (c *conn) sendOnce(ctx context.Context, cl call) ([]byte, error) {
	var answered error
	b, err := retry(ctx, patience{total: c.timeout, again: c.timeout}, &c.count.retries, func(ctx context.Context) ([]byte, error) {
		b, _, err := c.exchangeBy(ctx, c.upload, cl)
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
			return nil, err
		}
		answered = err
		return b, nil
	})
	if err == nil {
		err = answered
	}
	return b, err
}

// document fetches a JSON document, with retries.
func (c *conn) document(ctx context.Context, path string) ([]byte, http.Header, error) {
	b, h, _, err := c.repeat(ctx, get(&c.count.metadata, path, nil, http.StatusOK))
	return b, h, err
}

// sending makes a call that sends a document.
func (c *conn) sending(method, path, media string, doc []byte, ok ...int) call {
	return call{
		kind: &c.count.metadata, method: method, path: path, header: http.Header{"Content-Type": {media}},
		body: func() io.ReadCloser { return io.NopCloser(bytes.NewReader(doc)) }, size: int64(len(doc)), ok: ok,
	}
}

// delete takes a 404 to a repeated request for what it says: the first did it. It does
// not take a proxy's page for success, to which services say nothing, or null.
func (c *conn) delete(ctx context.Context, path string) error {
	cl := call{kind: &c.count.metadata, method: http.MethodDelete, path: path, ok: []int{http.StatusNoContent, http.StatusOK}}
	b, _, tries, err := c.repeat(ctx, cl)
	if said := string(bytes.TrimSpace(b)); err == nil && said != "" && said != "null" {
		return &Error{Op: "DELETE " + path, Message: "the answer is not that of an image service: " + oneLine(said), temporary: true}
	}
	if _, gone := refused(err, http.StatusNotFound); gone && tries > 1 {
		return nil
	}
	return err
}

// broken is netError for a request that went to the image service. What has cut or
// silenced its connection, as a balancer or firewall that has lost what it knew of
// it, may have done so to all of that age: who asks again is to get a new one, and
// not to wait for each of the old in turn.
func (c *conn) broken(ctx context.Context, op, id string, err error) *Error {
	e := netError(ctx, op, id, err)
	if e.temporary {
		c.http.CloseIdleConnections()
	}
	return e
}

func (c *conn) close() {
	c.http.CloseIdleConnections()
	c.upload.CloseIdleConnections()
}

// whole reads and closes a metadata answer.
func (c *conn) whole(ctx context.Context, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if enc := encoding(resp); enc != "" {
		c.count.failures.Add(1)
		return nil, badAnswer(resp, "the answer comes encoded as "+enc)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	c.count.bytes.Add(int64(len(b)))
	if err != nil {
		c.count.failures.Add(1)
		return nil, c.broken(ctx, opOf(resp.Request), requestID(resp), err)
	}
	if len(b) > maxDocument {
		c.count.failures.Add(1)
		return nil, badAnswer(resp, fmt.Sprintf("the answer is longer than %d MiB", maxDocument>>20))
	}
	return b, nil
}

// encoding is what an answer is encoded as, which none is asked to be; "" for
// nothing. A short one may stand for any number of bytes.
func encoding(resp *http.Response) string {
	enc := resp.Header.Get("Content-Encoding")
	if strings.EqualFold(enc, "identity") {
		return ""
	}
	return enc
}

// newRequestID makes an id of the form every OpenStack service logs.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("req-%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
