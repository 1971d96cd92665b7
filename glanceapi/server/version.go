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

// serveVersions answers with the version document, which Glance gives with
// 300 for every path it does not know too.
func serveVersions(w http.ResponseWriter, r *http.Request, status int) {
	href := "http://" + r.Host + "/v2/"
	if r.TLS != nil {
		href = "https://" + r.Host + "/v2/"
	}
	var versions array
	for i, minor := range minors() {
		state := "SUPPORTED"
		if i == 0 {
			state = "CURRENT"
		}
		var link, version object
		link.str("rel", "self").str("href", href)
		version.str("id", "v2."+minor).str("status", state).raw("links", array{link.bytes()}.bytes())
		versions = append(versions, version.bytes())
	}
	var doc object
	doc.raw("versions", versions.bytes())
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
