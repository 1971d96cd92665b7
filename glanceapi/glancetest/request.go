package glancetest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// A Request is what the server was asked and how much it answered.
type Request struct {
	Method string
	Path   string
	Query  string // as it was sent
	Range  string // the Range header
	Token  string // the X-Auth-Token header
	Body   int64  // bytes of the body that were read

	Status    int    // 0 while, or if, there is no answer
	RequestID string // the answer's X-Openstack-Request-Id
	Sent      int64  // bytes of the answer's body; see Requests

	Image  string // whose data the answer has; "" if it has no data
	Offset int64  // of the answer's first byte in that data
}

// IsData reports whether r asks for an image's data, as opposed to anything
// else.
func IsData(r *http.Request) bool { return isData(r.Method, r.URL.Path) }

func isData(method, path string) bool {
	return method == http.MethodGet && (strings.HasSuffix(path, "/file") || isImageV1(path))
}

// isImageV1 reports whether path is that of an image in v1, which is also that
// of its data.
func isImageV1(path string) bool {
	before, id, ok := strings.Cut(path, "/images/")
	return ok && (before == "" || strings.HasPrefix(before, "/v1")) && id != "" && id != "detail" && !strings.Contains(id, "/")
}

// IsUpload reports whether r sends an image's data.
func IsUpload(r *http.Request) bool {
	return r.Method == http.MethodPut && r.Header.Get("Content-Type") == "application/octet-stream"
}

// imageID returns the id in the path of a request for an image or what
// belongs to it.
func imageID(path string) string {
	_, rest, ok := strings.Cut(path, "/images/")
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return id
}

func (s *Server) begin(r *http.Request) *Request {
	q := &Request{
		Method: r.Method,
		Path:   r.URL.Path,
		Query:  r.URL.RawQuery,
		Range:  r.Header.Get("Range"),
		Token:  r.Header.Get("X-Auth-Token"),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, q)
	s.running++
	return q
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// Suffered is the number of requests, since the start, that a fault has kept from
// their whole answer, for a time or for good.
func (s *Server) Suffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suffered
}

func (s *Server) hurt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suffered++
}

// Requests returns the requests since the start or the last Reset in the
// order of their arrival. Bytes count as sent when they are about to be handed
// to the kernel, up to 1 MiB at a time, so while a request runs the count is
// never too low; it is exact when the request is over (see Settle).
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Request, len(s.requests))
	for i, q := range s.requests {
		list[i] = *q
	}
	return list
}

// Reset forgets the requests so far. Those that still run are not counted any
// more.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

func (s *Server) count(match func(*Request) bool) int {
	n := 0
	for _, q := range s.Requests() {
		if match(&q) {
			n++
		}
	}
	return n
}

// MetadataRequests is the number of requests for anything but an image's data.
func (s *Server) MetadataRequests() int {
	return s.count(func(q *Request) bool { return !isData(q.Method, q.Path) })
}

// DataRequests is the number of requests that were answered with an image's
// data or a part of it.
func (s *Server) DataRequests() int {
	return s.count(func(q *Request) bool { return q.Image != "" })
}

// BytesSent is the number of bytes of an image's data that were sent.
func (s *Server) BytesSent(id string) int64 {
	var n int64
	for _, q := range s.Requests() {
		if q.Image == id {
			n += q.Sent
		}
	}
	return n
}

// MaxTimesSent is how often that byte of an image was sent that was sent most
// often: 1 means that no byte was fetched twice.
func (s *Server) MaxTimesSent(id string) int {
	type edge struct {
		at   int64
		step int
	}
	var edges []edge
	for _, q := range s.Requests() {
		if q.Image == id && q.Sent > 0 {
			edges = append(edges, edge{q.Offset, 1}, edge{q.Offset + q.Sent, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), a.step-b.step) })
	depth, most := 0, 0
	for _, e := range edges {
		depth += e.step
		most = max(most, depth)
	}
	return most
}
