package glanceapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// idlePerHost keeps a connection for each stream and lookup that may run
	// at once; net/http's own 2 would open a new one for most requests.
	idlePerHost = 64

	dialTimeout = 10 * time.Second
	// expectTimeout is how long a body waits for "100 Continue". A service that
	// has to ask Keystone about a new token takes half a second to say it.
	expectTimeout = 2 * time.Second
	// maxHeader is far more than any answer has and far less than net/http's
	// own limit.
	maxHeader = 1 << 20
)

// newHTTPClient makes the client every request goes through. It has no
// Timeout, which would cut long streams; requests are bounded by contexts.
// HTTP/2 is left out: streams of many gigabytes would share one connection and
// its flow control, and no image service speaks it itself.
func newHTTPClient(c *tls.Config) *http.Client {
	return &http.Client{Transport: newTransport(c), CheckRedirect: sameHost}
}

// newUploadClient makes the client for uploads, and for what is sent only once. Each
// has a connection of its own: some servers close theirs after an answer without
// saying so, which a body would meet before its first byte is through. A server that
// does not know Expect gets the body a little later, but gets it.
func newUploadClient(c *tls.Config) *http.Client {
	t := newTransport(c)
	t.DialContext = hearing(t.DialContext)
	t.DisableKeepAlives = true
	t.ExpectContinueTimeout = expectTimeout
	return &http.Client{Transport: t, CheckRedirect: sameHost}
}

func newTransport(c *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: proxyRefusal,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        c,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // a compressed stream has no offsets
	}
}

// proxyRefusal is what a proxy says that makes no connection. net/http would give
// its "Forbidden" as if the image service had said it.
func proxyRefusal(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("the proxy %s: %s", proxy.Host, statusLine(resp.StatusCode))
}

// A bounded transport is for those who read answers whole and do not bound them:
// nobody gets more than maxDocument of one.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxDocument)
	}
	return resp, err
}

// sameHost follows redirects only to where the first request went: every
// request carries a token, and a password on its way to Keystone. What changes
// something is not redirected: its method or its body would not survive.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0]
	if first.Method != http.MethodGet && first.Method != http.MethodHead {
		return http.ErrUseLastResponse
	}
	if len(via) > 5 || next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// trust makes a TLS configuration that trusts the roots of the system and
// those of file, if there is one.
func trust(file string) (*tls.Config, error) {
	if file == "" {
		return &tls.Config{}, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading trusted certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without roots of its own
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading trusted certificates: %s: %w", file, errors.New("no certificate in it"))
	}
	return &tls.Config{RootCAs: pool}, nil
}
