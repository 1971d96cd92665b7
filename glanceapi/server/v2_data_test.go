package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDownload(t *testing.T) {
	s := newSite(t)
	digits := s.put(t, Record{}, "0123456789")
	empty := s.put(t, Record{}, "")
	queued, err := s.Add(Record{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const bad = "The Range requested is not available."
	for _, c := range []struct {
		id, ranges string
		status     int
		crange     string // Content-Range
		want       string // the body, or the message of a problem
	}{
		{digits, "", 200, "", "0123456789"},
		{digits, "bytes=0-3", 206, "bytes 0-3/10", "0123"},
		{digits, "bytes=4-", 206, "bytes 4-9/10", "456789"},
		{digits, "bytes=-3", 206, "bytes 7-9/10", "789"},
		{digits, "bytes=-100", 206, "bytes 0-9/10", "0123456789"},
		{digits, "bytes=9-100", 206, "bytes 9-9/10", "9"},
		{digits, "bytes=0-99999999999999999999", 206, "bytes 0-9/10", "0123456789"},
		{digits, "bytes=-0", 206, "bytes 0-9/10", "0123456789"},
		{digits, "bytes=10-12", 416, "", bad + "Invalid start position in Range header. Start position MUST be in the inclusive range [0, 9]."},
		{digits, "bytes=5-2", 416, "", bad + "Invalid Range header."},
		{digits, "bytes=a-b", 416, "", bad + "Invalid Range header."},
		{digits, "items=0-3", 416, "", bad + "Invalid Range header."},
		{digits, "bytes=0-3,5-6", 400, "", "Requests with multiple ranges are not supported in Glance. You may make multiple single-range requests instead."},
		{digits, "bytes=-", 500, "", ""},
		{empty, "", 200, "", ""},
		{empty, "bytes=0-", 416, "", bad + "Invalid start position in Range header. Start position MUST be in the inclusive range [0, -1]."},
		{empty, "bytes=-5", 206, "bytes 0--1/0", ""},
		{queued.ID, "", 204, "", ""},
		{queued.ID, "bytes=0-", 500, "", ""},
	} {
		got := s.do(t, ask{method: "GET", path: "/v2/images/" + c.id + "/file", header: map[string]string{"Range": c.ranges}})
		body := got.body
		if got.status >= 400 {
			body = got.message()
		}
		if got.status != c.status || got.header.Get("Content-Range") != c.crange || body != c.want {
			t.Errorf("Range %q: %d %q %q, want %d %q %q", c.ranges, got.status, got.header.Get("Content-Range"), body, c.status, c.crange, c.want)
		}
		if c.id == digits && c.status < 300 && got.header.Get("Content-Md5") != "781e5e245d69b566979b86e28d23f2c7" {
			t.Errorf("Range %q: Content-Md5 %q", c.ranges, got.header.Get("Content-Md5"))
		}
		for _, h := range []string{"Etag", "Last-Modified", "Accept-Ranges"} {
			if v := got.header.Get(h); v != "" {
				t.Errorf("Range %q: %s: %s", c.ranges, h, v)
			}
		}
	}
}

func TestRangeModes(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{}, "0123456789")
	var mode RangeMode
	s.Ranges = func(*http.Request) RangeMode { return mode }
	no := "Getting images randomly from this store is not supported. Offset: %d, length: %d"
	for _, c := range []struct {
		mode   RangeMode
		ranges string
		status int
		want   string
	}{
		{RangesRefused, "", 200, "0123456789"},
		{RangesRefused, "bytes=0-3", 400, fmt.Sprintf(no, 0, 4)},
		{RangesRefused, "bytes=0-", 400, fmt.Sprintf(no, 0, 10)},
		{RangesRefused, "bytes=-3", 400, fmt.Sprintf(no, 7, 3)},
		{RangesRefused, "bytes=10-", 416, "The Range requested is not available.Invalid start position in Range header. Start position MUST be in the inclusive range [0, 9]."},
		{RangesIgnored, "bytes=0-3", 200, "0123456789"},
		{RangesIgnored, "nonsense", 200, "0123456789"},
	} {
		mode = c.mode
		got := s.do(t, ask{method: "GET", path: "/v2/images/" + id + "/file", header: map[string]string{"Range": c.ranges}})
		body := got.body
		if got.status >= 400 {
			body = got.message()
		}
		if got.status != c.status || body != c.want {
			t.Errorf("mode %d, Range %q: %d %q, want %d %q", c.mode, c.ranges, got.status, body, c.status, c.want)
		}
	}
}

func TestDeactivated(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo", Visibility: "community"}, "x")
	queued, err := s.Add(Record{Owner: "demo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, token string
		status              int
		message             string
	}{
		{"POST", id + "/actions/deactivate", other, 403, "You do not own this image"},
		{"POST", queued.ID + "/actions/deactivate", demo, 403, "Not allowed to deactivate image in status 'queued'"},
		{"POST", id + "/actions/deactivate", demo, 204, ""},
		{"POST", id + "/actions/deactivate", demo, 204, ""},
		{"GET", id + "/file", demo, 403, "The requested image has been deactivated. Image data download is forbidden."},
		{"GET", id + "/file", admin, 200, ""},
		{"POST", id + "/actions/reactivate", demo, 204, ""},
		{"GET", id + "/file", demo, 200, ""},
	} {
		got := s.do(t, ask{method: c.method, path: "/v2/images/" + c.path, token: c.token})
		if got.status != c.status || got.message() != c.message {
			t.Errorf("%s %s as %s: %d %q, want %d %q", c.method, c.path, c.token, got.status, got.message(), c.status, c.message)
		}
	}
}

func TestVanishedData(t *testing.T) {
	dir := t.TempDir()
	s := startSite(t, dir)
	id := s.put(t, Record{}, "0123456789")
	if err := os.Remove(filepath.Join(dir, "data", id)); err != nil {
		t.Fatal(err)
	}
	for _, ranges := range []string{"", "bytes=0-3"} {
		got := s.do(t, ask{method: "GET", path: "/v2/images/" + id + "/file", header: map[string]string{"Range": ranges}})
		if got.status != 204 {
			t.Errorf("Range %q of vanished data: %d, want 204", ranges, got.status)
		}
	}
}

func TestDeletedWhileDownloading(t *testing.T) {
	s := newSite(t)
	data := strings.Repeat("x", 32<<20)
	id := s.put(t, Record{}, data)
	resp, err := http.Get(s.url + "/v2/images/" + id + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := s.do(t, ask{method: "DELETE", path: "/v2/images/" + id}); got.status != 204 {
		t.Fatal(got)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(data)) {
		t.Errorf("%d of %d bytes, %v", n, len(data), err)
	}
	if got := s.get(t, "/v2/images/"+id+"/file"); got.status != 404 {
		t.Errorf("afterwards: %d, want 404", got.status)
	}
}
