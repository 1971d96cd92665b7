package server

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// minors are the minor versions that are spoken, the newest first.
func minors() []string {
	return []string{"15", "9", "7", "6", "5", "4", "3", "2", "1", "0"}
}

// isV2 reports whether a path's first element selects the Images API v2.
// Every minor version is the same code.
func isV2(prefix string) bool {
	minor, ok := strings.CutPrefix(prefix, "v2.")
	return prefix == "v2" || ok && slices.Contains(minors(), minor)
}

// isV1 reports whether a path's first element selects v1.
func (r Release) isV1(prefix string) bool {
	switch prefix {
	case "v1", "v1.0":
		return r != Zed && r.knowsWho()
	case "v1.1":
		return r == Queens
	}
	return false
}

// allows reports whether an image may have the id.
func (r Release) allows(id string) bool {
	if r.integerIDs() {
		return isNumber(id)
	}
	return isUUID(id)
}

// A version is a line of the list of versions.
type version struct{ id, status, path string }

func (r Release) versions() []version {
	if !r.hasV2() {
		return []version{{"v1.1", "CURRENT", "/v1/"}, {"v1.0", "SUPPORTED", "/v1/"}}
	}
	var all []version
	for i, minor := range minors() {
		status := "SUPPORTED"
		if i == 0 {
			status = "CURRENT"
		}
		all = append(all, version{"v2." + minor, status, "/v2/"})
	}
	if r == Queens {
		all = append(all, version{"v1.1", "DEPRECATED", "/v1/"}, version{"v1.0", "DEPRECATED", "/v1/"})
	}
	return all
}

// serveVersions answers with the version document, which Glance gives with
// 300 for every path it does not know too. The first releases name themselves
// as they were told to listen, which is of no use to anybody else.
func (s *Server) serveVersions(w http.ResponseWriter, r *http.Request, status int) {
	base := "http://" + r.Host
	if r.TLS != nil {
		base = "https://" + r.Host
	}
	if !s.Release.hasV2() {
		base = "http://0.0.0.0:9292"
	}
	var list array
	for _, v := range s.Release.versions() {
		var link, o object
		link.str("rel", "self").str("href", base+v.path)
		o.str("id", v.id).str("status", v.status).raw("links", array{link.bytes()}.bytes())
		list = append(list, o.bytes())
	}
	var doc object
	doc.raw("versions", list.bytes())
	writeJSON(w, status, doc.bytes())
}

func serveHealth(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Content-Length", "2")
	io.WriteString(w, "OK")
}
