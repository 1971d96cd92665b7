package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Who asks, in most tests.
const (
	demo  = "u1:demo:member"
	other = "u2:other:member"
	admin = "u3:adm:member,admin"

	octets = "application/octet-stream"
)

// A site is a server under test. Only its URL is used to ask it things, so it
// might as well be a Glance.
type site struct {
	url string
	*Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	return startSite(t, t.TempDir())
}

func startSite(t *testing.T, dir string) *site {
	t.Helper()
	s, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return &site{url: h.URL, Server: s}
}

// An ask is one request.
type ask struct {
	method, path, token, media, body string
	header                           map[string]string
}

// A reply is its answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// message is what a problem says.
func (r reply) message() string {
	var p struct{ Message string }
	json.Unmarshal([]byte(r.body), &p)
	return strings.TrimSpace(strings.ReplaceAll(p.Message, "<br /><br />\n", ""))
}

func (r reply) field(key string) any {
	var fields map[string]any
	json.Unmarshal([]byte(r.body), &fields)
	return fields[key]
}

func (s *site) do(t *testing.T, a ask) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), a.method, s.url+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	if a.token != "" {
		req.Header.Set("X-Auth-Token", a.token)
	}
	if a.media != "" {
		req.Header.Set("Content-Type", a.media)
	}
	for k, v := range a.header {
		req.Header.Set(k, v)
	}
	resp, err := noRedirects().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func noRedirects() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *site) get(t *testing.T, path string) reply {
	t.Helper()
	return s.do(t, ask{method: "GET", path: path})
}

// put adds an image without HTTP.
func (s *site) put(t *testing.T, rec Record, data string) string {
	t.Helper()
	rec.DiskFormat, rec.ContainerFormat = "raw", "bare"
	added, err := s.Add(rec, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return added.ID
}
