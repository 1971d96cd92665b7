package glanceapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
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
	base    string // the endpoint, without a slash at the end
	auth    authenticator
	timeout time.Duration
	log     *slog.Logger
	count   counters
}

// An authenticator knows the token to send.
type authenticator interface {
	token() string
	// renew replaces the token old, which was refused, unless that has been
	// done already. errFixedToken says that there is no other.
	renew(ctx context.Context, old string) error
}

// get sends one GET and returns an answer of one of the statuses ok, or an
// *Error. A refused token is renewed and the request sent once more.
func (c *conn) get(ctx context.Context, kind *atomic.Int64, path string, header http.Header, ok ...int) (*http.Response, error) {
	token := c.auth.token()
	resp, err := c.once(ctx, kind, path, header, token, ok)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized {
		return resp, err
	}
	if err := c.auth.renew(ctx, token); err != nil {
		if errors.Is(err, errFixedToken) {
			return nil, refusal
		}
		return nil, err
	}
	resp, err = c.once(ctx, kind, path, header, c.auth.token(), ok)
	// Keystone has just confirmed the token. The image service answers 401,
	// never 503, also when it cannot reach Keystone to ask about one.
	if errors.As(err, &refusal) && refusal.Status == http.StatusUnauthorized {
		refusal.temporary = true
	}
	return resp, err
}

func (c *conn) once(ctx context.Context, kind *atomic.Int64, path string, header http.Header, token string, ok []int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	id := newRequestID()
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "application/json") // else errors are HTML
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "glancefs")
	req.Header.Set(requestIDHeader, id)
	if token != "" {
		req.Header.Set(tokenHeader, token)
	}
	kind.Add(1)
	resp, err := c.http.Do(req)
	if err != nil {
		c.count.failures.Add(1)
		return nil, netError(ctx, opOf(req), id, err)
	}
	for _, s := range ok {
		if resp.StatusCode == s {
			return resp, nil
		}
	}
	c.count.failures.Add(1)
	return nil, answerError(resp)
}

// document fetches a JSON document, with retries.
func (c *conn) document(ctx context.Context, path string) ([]byte, http.Header, error) {
	var h http.Header
	b, err := retry(ctx, patience{total: c.timeout, again: c.timeout}, &c.count.retries, func(ctx context.Context) ([]byte, error) {
		resp, err := c.get(ctx, &c.count.metadata, path, nil, http.StatusOK)
		if err != nil {
			return nil, err
		}
		h = resp.Header
		return c.whole(ctx, resp)
	})
	return b, h, err
}

// whole reads and closes a metadata answer.
func (c *conn) whole(ctx context.Context, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	c.count.bytes.Add(int64(len(b)))
	if err != nil {
		c.count.failures.Add(1)
		return nil, netError(ctx, opOf(resp.Request), requestID(resp), err)
	}
	if len(b) > maxDocument {
		c.count.failures.Add(1)
		return nil, badAnswer(resp, fmt.Sprintf("the answer is longer than %d MiB", maxDocument>>20))
	}
	return b, nil
}

// newRequestID makes an id of the form every OpenStack service logs.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("req-%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
