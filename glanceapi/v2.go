package glanceapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
)

// pageSize is the images asked for at once. A real service spends 1.1 ms of CPU
// on each and answers nobody else on that worker meanwhile; larger pages are
// not faster on the whole.
const pageSize = 100

// v2 is the dialect of Images API v2, current since 2012. Every minor version
// answers under the prefix /v2.
type v2 struct{ *conn }

func (v v2) version() string { return "v2" }

func (v v2) takesUUIDs() bool { return true }

func (v v2) data(id string) (string, bool) { return "/v2/images/" + id + "/file", true }

// others goes by the type, where there is nothing better: data has a length, or tells
// which part it is.
func (v v2) others(resp *http.Response, _ string) string {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	words := strings.HasPrefix(kind, "text/") || kind == "application/json"
	if kind == "text/html" || words && resp.StatusCode == http.StatusOK && resp.ContentLength < 0 {
		return "a page of " + oneLine(kind) + " comes instead of the data"
	}
	return ""
}

func (v v2) check(ctx context.Context) error { return v.lists(ctx, "/v2/images?limit=1") }

func (v v2) image(ctx context.Context, id string) (Image, error) {
	b, _, err := v.document(ctx, "/v2/images/"+id)
	if err != nil {
		return Image{}, err
	}
	i, err := decodeRecord(b, decodeImageV2)
	if err != nil {
		return Image{}, unreadable("/v2/images/"+id, err)
	}
	return i, nil
}

func (v v2) page(ctx context.Context, q Query, marker string) (Page, string, error) {
	b, h, err := v.document(ctx, "/v2/images?"+queryV2(q, marker).Encode())
	if err != nil {
		return Page{}, "", markerError(err, marker)
	}
	var doc struct {
		Images json.RawMessage `json:"images"`
		Next   string          `json:"next"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Page{}, "", unreadable("/v2/images", err)
	}
	var p Page
	p.Date, _ = http.ParseTime(h.Get("Date")) // the zero time if there is none
	if p.Images, _, err = decodeList(v.conn, doc.Images, decodeImageV2); err != nil {
		return Page{}, "", unreadable("/v2/images", err)
	}
	// Only the presence of next counts: what it says has no host and lacks
	// repeated parameters.
	if doc.Next == "" || len(p.Images) == 0 {
		return p, "", nil
	}
	next, err := markerOf(len(p.Images), func(i int) string { return p.Images[i].ID })
	if err != nil {
		return Page{}, "", unreadable("/v2/images", err)
	}
	return p, next, nil
}

// markerError recognises the answers to a marker that was deleted (400) or made
// invisible (403) since the page before.
func markerError(err error, marker string) error {
	var e *Error
	if marker != "" && errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden || e.Status == http.StatusNotFound) {
		return fmt.Errorf("%w: %w", errMarkerLost, err)
	}
	return err
}

// unreadable is an answer, to a GET if op has no method, that is not the JSON it should be.
func unreadable(op string, err error) *Error {
	if strings.HasPrefix(op, "/") {
		op = "GET " + op
	}
	return &Error{Op: op, Message: "the answer cannot be read", Err: err}
}

// parseTime reads the times of the API: RFC 3339, in old releases without a
// zone, which means UTC. What is no time is the zero time.
func parseTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
