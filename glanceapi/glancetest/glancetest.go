// Package glancetest is to an image service what net/http/httptest is to HTTP:
// a server on the loopback interface for the length of a test, which counts
// what it is asked and misbehaves when it is told to.
//
// It is package server underneath, so what it answers is what a real Glance
// answers; nothing is canned. It is not for production.
//
// Images.Release gives it the habits of an old release of Glance, with ids that
// are numbers, 500 for a refusal, and so on.
package glancetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"glancefs/glanceapi/server"
)

// A Server is a running image server. Its methods may be called by several
// goroutines at once, also while requests run.
type Server struct {
	URL    string         // the image endpoint, without a version and a slash at the end; "" if it does not listen
	Images *server.Server // what answers; to add records, look at them and require tokens

	mu       sync.Mutex
	requests []*Request
	running  int           // requests being answered
	suffered int           // requests that a fault has kept from their answer
	faults   []*Fault      // ours; Times counts down, negative when it is used up
	released chan struct{} // closed when faults are replaced
}

// New starts a server without images over a temporary directory. It ends with
// the test. Each opt may change what answers before it does, which is the only time
// if the first to ask is another process.
func New(tb testing.TB, opts ...func(*server.Server)) *Server {
	tb.Helper()
	return NewIn(tb, tb.TempDir(), opts...)
}

// NewIn is New over the directory dir, which stays.
func NewIn(tb testing.TB, dir string, opts ...func(*server.Server)) *Server {
	tb.Helper()
	images, err := server.New(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, opt := range opts {
		opt(images)
	}
	s := Over(images)
	h := httptest.NewServer(s)
	s.URL = h.URL
	tb.Cleanup(func() {
		s.SetFaults()
		h.CloseClientConnections()
		h.Close()
	})
	return s
}

// Over returns a Server that answers with images, which are its own from then
// on, and does not listen: for a process that lasts longer than a test.
func Over(images *server.Server) *Server {
	images.Ranges = func(r *http.Request) server.RangeMode {
		return r.Context().Value(faultKey{}).(Fault).Ranges
	}
	return &Server{Images: images, released: make(chan struct{})}
}

// faultKey is the key of a request's Fault in its context.
type faultKey struct{}

// ServeHTTP answers one request, or does not, as the faults have it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, released := s.suffer(r)
	a := &answer{ResponseWriter: w, s: s, r: r, fault: f, released: released, request: s.begin(r)}
	defer s.end()
	a.sleep(f.Latency)
	if f.Status != 0 || f.Break == Drop || f.Break == Hang || f.Break == DropAnswer {
		s.hurt()
	}
	switch {
	case f.Break == Drop:
		panic(http.ErrAbortHandler)
	case f.Break == Hang:
		a.hang()
	}
	if f.Status != 0 {
		a.Header().Set("Content-Type", "text/html; charset=UTF-8")
		http.Error(a, cmp.Or(f.Message, http.StatusText(f.Status)), f.Status)
		return
	}
	r.Body = &body{ReadCloser: r.Body, answer: a}
	s.Images.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), faultKey{}, f)))
}

// Add adds an active image, raw and bare, and returns its id. Each opt may
// change the record before it is kept.
func (s *Server) Add(tb testing.TB, name string, data []byte, opts ...func(*server.Record)) string {
	tb.Helper()
	return s.add(tb, name, bytes.NewReader(data), opts)
}

// AddQueued adds an image that waits for its data and returns its id.
func (s *Server) AddQueued(tb testing.TB, name string, opts ...func(*server.Record)) string {
	tb.Helper()
	return s.add(tb, name, nil, opts)
}

func (s *Server) add(tb testing.TB, name string, data io.Reader, opts []func(*server.Record)) string {
	tb.Helper()
	rec := server.Record{Name: &name, DiskFormat: "raw", ContainerFormat: "bare"}
	for _, opt := range opts {
		opt(&rec)
	}
	added, err := s.Images.Add(rec, data)
	if err != nil {
		tb.Fatal(err)
	}
	return added.ID
}

// AddN adds n active images, named image-00000 and so on, whose data is their
// name, and returns their ids. The first is the oldest.
func (s *Server) AddN(tb testing.TB, n int, opts ...func(*server.Record)) []string {
	tb.Helper()
	ids := make([]string, n)
	for i := range ids {
		name := fmt.Sprintf("image-%05d", i)
		ids[i] = s.Add(tb, name, []byte(name), opts...)
	}
	return ids
}

// Settle waits until no request is being answered, so that what the counters
// say of clients that went away is exact. It fails the test after ten seconds.
func (s *Server) Settle(tb testing.TB) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.Running() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal("the image server still answers requests")
		}
	}
}

// Running is the number of requests that are being answered.
func (s *Server) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}
