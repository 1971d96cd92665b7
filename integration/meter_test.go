package integration

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A meter stands between a client and an image service, and notes which bytes
// of image data pass. The service can be any; it does not have to count itself.
type meter struct {
	URL string

	mu     sync.Mutex
	passed []*passage
}

// passage is bytes of an image's data, as they passed in one answer.
type passage struct{ off, n int64 }

func newMeter(tb testing.TB, service string) *meter {
	tb.Helper()
	target, err := url.Parse(service)
	if err != nil {
		tb.Fatal(err)
	}
	m := &meter{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if strings.HasSuffix(r.Request.URL.Path, "/file") && r.StatusCode < 300 {
			r.Body = &metered{ReadCloser: r.Body, meter: m, span: m.begin(r)}
		}
		return nil
	}
	h := httptest.NewServer(proxy)
	tb.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	m.URL = h.URL
	return m
}

func (m *meter) begin(r *http.Response) *passage {
	s := &passage{}
	fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-", &s.off)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed = append(m.passed, s)
	return s
}

// bytes is how many have passed.
func (m *meter) bytes() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.passed {
		n += p.n
	}
	return n
}

// again is how many of them had passed before. It goes by their place only, so
// the client must have read one image.
func (m *meter) again() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.passed, func(a, b *passage) int { return cmp.Compare(a.off, b.off) })
	var end int64
	for _, p := range m.passed {
		n += max(min(end, p.off+p.n)-p.off, 0)
		end = max(end, p.off+p.n)
	}
	return n
}

// metered is a body that is counted as it is read.
type metered struct {
	io.ReadCloser
	meter *meter
	span  *passage
}

func (b *metered) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.meter.mu.Lock()
	defer b.meter.mu.Unlock()
	b.span.n += int64(n)
	return n, err
}
