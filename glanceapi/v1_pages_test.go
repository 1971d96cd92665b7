package glanceapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// A record that cannot be read makes its page no shorter, which is how v1 tells the last one.
func TestUnreadableRecordV1(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e"}
	c := newClientOf(t, Config{Timeout: 5 * time.Second, Endpoint: serveV1(t, func(w http.ResponseWriter, r *http.Request) {
		from := slices.Index(ids, r.FormValue("marker")) + 1
		var page []string
		for _, id := range ids[from:min(from+2, len(ids))] {
			page = append(page, `{"id":"`+id+`","status":"active","properties":`+map[bool]string{true: `"none"`, false: `{}`}[id == "b"]+`}`)
		}
		io.WriteString(w, `{"images":[`+strings.Join(page, ",")+`]}`)
	})})
	for range 2 { // the second time it is known how long pages are
		pages, err := collect(t, c, Query{})
		if got := slices.Concat(pages...); err != nil || !slices.Equal(got, []string{"a", "c", "d", "e"}) {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// serveV1 serves h as the detailed list of a service that speaks v1, and returns its address.
func serveV1(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /versions", answer(300, `{"versions":[{"id":"v1.1"}]}`))
	mux.HandleFunc("GET /v1/images/detail", h)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// Databases that know no case find an image by its id in either, and tell its own.
func TestDataOfOtherCaseV1(t *testing.T) {
	for id, other := range map[string]bool{"AB": false, "ab": false, "a": true, "": true} {
		resp := &http.Response{Header: http.Header{"X-Image-Meta-Id": {"ab"}}}
		if why := (v1{}).others(resp, id); (why != "") != other {
			t.Errorf("%q: %q", id, why)
		}
	}
}
