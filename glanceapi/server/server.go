// Package server is a small image server: OpenStack's Images API, v2 and v1,
// over a directory. It keeps what it is given, answers several clients at once and
// survives a restart, so it can be used for demonstrations and on a single
// machine; package glancetest adds faults and counters to it for tests.
//
// In v2 it answers as Glance 25 (2022.2) with a file store does, word for word
// where clients look, and in v1 as a Release of Glance's youth. It is not Glance:
// there is no import, no quota, no Keystone (see Server.RequireToken), no
// locations and only one store, and a file it was told to keep may be lost with
// the power, because it never syncs.
package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// A Server is an http.Handler over one directory. Its exported fields may be
// set before the first request only.
type Server struct {
	// RequireToken makes a request without a token of the shape
	// "user:project:role[,role]" fail with 401. It is for tests of projects
	// and sharing; without it such a request comes from an administrator
	// without a project, as in Glance's noauth mode.
	RequireToken bool

	// Release is the Glance whose v1 is spoken, and whether v2 is. In the
	// releases whose ids are numbers no image may have another id.
	Release Release

	// Ranges says what becomes of a download's Range header, nil that ranges
	// are served. It may be called by several goroutines at once.
	Ranges func(*http.Request) RangeMode

	store  *store
	routes map[string]map[string]answerer // of v2
}

// A RangeMode is what the store below an image makes of Range requests.
type RangeMode int

const (
	RangesServed  RangeMode = iota // 206, as from the file and cinder stores
	RangesRefused                  // 400, as from the rbd, swift, s3, vmware and http stores
	RangesIgnored                  // 200 and everything, as from servers that do not know the header
)

// New returns a server of the images in dir, which it makes if it is missing.
// A directory belongs to one Server at a time. An upload that was running
// when the last one ended is undone.
func New(dir string) (*Server, error) {
	st, err := openStore(dir)
	if err != nil {
		return nil, fmt.Errorf("opening image directory %s: %w", dir, err)
	}
	return &Server{store: st, routes: v2()}, nil
}

// Add keeps a new image, with a UUID for an id, or a number in a Release whose
// ids are numbers. An empty ID, Status, Visibility, CreatedAt or
// UpdatedAt is filled in. With data the image is active unless rec says
// otherwise, and its size and hashes are those of the data; with nil data
// it is queued. An id that is or was in use gives fs.ErrExist.
func (s *Server) Add(rec Record, data io.Reader) (Record, error) {
	if rec.ID == "" && !s.Release.integerIDs() {
		rec.ID = newUUID()
	}
	if rec.ID != "" && !s.Release.allows(rec.ID) {
		return Record{}, fmt.Errorf("adding image: %q is not an id", rec.ID)
	}
	added, err := s.store.add(rec, data)
	if err != nil {
		return Record{}, fmt.Errorf("adding image %s: %w", rec.ID, err)
	}
	return *added.clone(), nil
}

// Image returns the record of an image that is not deleted.
func (s *Server) Image(id string) (Record, bool) {
	rec, ok := s.store.get(id)
	if !ok {
		return Record{}, false
	}
	return *rec.clone(), true
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Openstack-Request-Id", "req-"+newUUID())
	if err := s.route(w, r); err != nil {
		s.fail(w, r, err)
	}
}

// route finds the version of the API. A path that means none is answered with
// the list of versions, or in the releases that have no list with 404.
func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	first, rest, slash := strings.Cut(strings.TrimLeft(r.URL.Path, "/"), "/")
	switch {
	case !s.Release.knowsWho():
		return s.serveV1(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	case first == "healthcheck" && !slash && s.Release.hasV2():
		serveHealth(w, r)
	case first == "versions" && strings.Trim(rest, "/") == "" && s.Release.hasV2():
		s.serveVersions(w, r, http.StatusOK)
	case s.Release.hasV2() && isV2(first):
		return s.serveV2(w, r, strings.TrimLeft(rest, "/"), slash)
	case s.Release.isV1(first) && slash:
		return s.serveV1(w, r, rest)
	case s.Release.isV1(first):
		return s.bareV1(w, r)
	case s.Release != Zed && strings.HasPrefix(r.Header.Get("Accept"), acceptV1):
		return s.serveV1(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	default:
		s.serveVersions(w, r, http.StatusMultipleChoices)
	}
	return nil
}

// fail answers with err, of which the client sees the text only if it is a
// problem.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	if !errors.As(err, &p) {
		slog.ErrorContext(r.Context(), "image server", "method", r.Method, "path", r.URL.Path, "err", err)
		p = newProblem(http.StatusInternalServerError,
			"The server has either erred or is incapable of performing the requested operation.")
	}
	p.write(w, r)
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// isUUID reports whether s has the form of an id. Only such strings become
// file names.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

// isNumber reports whether s is an id of the first releases.
func isNumber(s string) bool {
	return s != "" && len(s) < 10 && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

// isID reports whether s is an id of any release.
func isID(s string) bool { return isUUID(s) || isNumber(s) }
