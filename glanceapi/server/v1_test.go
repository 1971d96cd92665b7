package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newRelease(t *testing.T, r Release) *site {
	t.Helper()
	s := newSite(t)
	s.Release = r
	return s
}

// prefix is what stands before the paths of a release's v1.
func (r Release) prefix() string {
	if r <= Cactus {
		return ""
	}
	return "/v1"
}

func TestV1Paths(t *testing.T) {
	for path, want := range map[string][]int{
		// Bexar, Cactus, Diablo, Essex, Queens, Zed
		"/":                 {200, 200, 300, 300, 300, 300},
		"/versions":         {404, 404, 300, 300, 200, 200},
		"/images":           {200, 200, 300, 300, 300, 300},
		"/images/detail":    {200, 200, 300, 300, 300, 300},
		"/v1":               {404, 404, 500, 500, 302, 300},
		"/v1/":              {404, 404, 200, 200, 200, 300},
		"/v1/images":        {404, 404, 200, 200, 200, 300},
		"/v1.0/images":      {404, 404, 200, 200, 200, 300},
		"/v1.1/images":      {404, 404, 300, 300, 200, 300},
		"/v2/images":        {404, 404, 300, 300, 200, 200},
		"/v1/images/":       {404, 404, 404, 404, 404, 300},
		"/v1/images/detail": {404, 404, 200, 200, 200, 300},
	} {
		for i, status := range want {
			s := newRelease(t, Bexar+Release(i))
			if got := s.get(t, path); got.status != status {
				t.Errorf("%d: GET %s: %d, want %d", s.Release, path, got.status, status)
			}
		}
	}
	s := newRelease(t, Diablo)
	if got := s.do(t, ask{method: "GET", path: "/images", header: map[string]string{"Accept": "application/vnd.openstack.images-v1"}}); got.status != 200 {
		t.Errorf("by Accept: %d", got.status)
	}
}

// metaOf is the headers of a record, as they were sent.
func metaOf(h http.Header) map[string]string {
	meta := map[string]string{}
	for k, v := range h {
		if strings.HasPrefix(k, "X-Image-Meta-") && !strings.HasSuffix(k, "ed_at") {
			meta[strings.TrimPrefix(k, "X-Image-Meta-")] = strings.Join(v, "|")
		}
	}
	return meta
}

func TestV1Head(t *testing.T) {
	for _, c := range []struct {
		r       Release
		created int
		want    map[string]string
		etag    string
	}{
		{Bexar, 200, map[string]string{"Id": "1", "Name": "one", "Size": "10", "Type": "raw", "Status": "active", "Is_public": "True", "Deleted": "False",
			"Location": "file:///var/lib/glance/images/1", "Property-Os_type": "linux", "Properties": "{}"}, ""},
		{Cactus, 201, map[string]string{"Id": "1", "Name": "one", "Size": "10", "Disk_format": "raw", "Container_format": "bare", "Status": "active", "Is_public": "True",
			"Deleted": "False", "Checksum": "781e5e245d69b566979b86e28d23f2c7", "Location": "file:///var/lib/glance/images/1", "Property-Os_type": "linux"}, "781e5e245d69b566979b86e28d23f2c7"},
		{Essex, 201, map[string]string{"Id": "ID", "Name": "one", "Size": "10", "Disk_format": "raw", "Container_format": "bare", "Status": "active", "Is_public": "True",
			"Deleted": "False", "Checksum": "781e5e245d69b566979b86e28d23f2c7", "Min_disk": "0", "Min_ram": "0", "Protected": "False", "Property-Os_type": "linux"}, "781e5e245d69b566979b86e28d23f2c7"},
	} {
		s := newRelease(t, c.r)
		made := s.do(t, ask{method: "POST", path: c.r.prefix() + "/images", media: octets, body: "0123456789", header: map[string]string{
			"x-image-meta-name": "one", "x-image-meta-is_public": "True", "x-image-meta-type": "raw", "x-image-meta-disk_format": "raw",
			"x-image-meta-container-format": "bare", "X-Image-Meta-Property-OS-Type": " linux "}})
		if made.status != c.created {
			t.Fatal(made)
		}
		recs := s.store.ordered(nil)
		got := s.do(t, ask{method: "HEAD", path: c.r.prefix() + "/images/" + recs[0].ID})
		meta := metaOf(got.header)
		if meta["Id"] == recs[0].ID && c.want["Id"] == "ID" {
			meta["Id"] = "ID"
		}
		if diff := cmp.Diff(c.want, meta); got.status != 200 || got.header.Get("Content-Length") != "0" || diff != "" {
			t.Errorf("%d: %d (-want +got)\n%s", c.r, got.status, diff)
		}
		if e := got.header.Get("ETag"); e != c.etag {
			t.Errorf("%d: ETag %q", c.r, e)
		}
		data := s.do(t, ask{method: "GET", path: c.r.prefix() + "/images/" + recs[0].ID, header: map[string]string{"Range": "bytes=2-4"}})
		length := data.header.Get("Content-Length")
		if data.status != 200 || data.body != "0123456789" || (length == "") != (c.r == Bexar) {
			t.Errorf("%d: %d %q, length %q", c.r, data.status, data.body, length)
		}
	}
}

// What is null in a header: the word None, nothing behind the name, or no header.
func TestV1Null(t *testing.T) {
	for r, want := range map[Release]string{Bexar: `["None"]`, Cactus: `[""]`, Diablo: `[""]`, Essex: `[]`, Queens: `[]`} {
		s := newRelease(t, r)
		s.do(t, ask{method: "POST", path: r.prefix() + "/images"})
		id := s.store.ordered(nil)[0].ID
		h := s.do(t, ask{method: "HEAD", path: r.prefix() + "/images/" + id}).header
		if got := fmt.Sprintf("%q", h["X-Image-Meta-Name"]); got != want {
			t.Errorf("%d: %s, want %s", r, got, want)
		}
	}
}

// What each release does to the same refusable things.
func TestV1Refusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		header map[string]string
		body   string
		want   []int  // Bexar, Cactus, Diablo, Essex, Queens
		after  string // the states of the image in those
	}{
		{"an id twice", "POST", map[string]string{"x-image-meta-id": "ID"}, "", []int{500, 500, 409, 409, 409}, ""},
		{"a bad format", "POST", map[string]string{"x-image-meta-disk-format": "floppy"}, "", []int{200, 400, 400, 400, 400}, ""},
		{"a field of another time", "POST", map[string]string{"x-image-meta-type": "raw"}, "", []int{200, 201, 201, 201, 400}, ""},
		{"a size that is none", "POST", map[string]string{"x-image-meta-size": "x"}, "", []int{500, 500, 500, 400, 400}, ""},
		{"a wrong size", "PUT", map[string]string{"x-image-meta-size": "3"}, "0123456789", []int{200, 200, 200, 200, 400}, "active active active active killed"},
		{"a wrong checksum", "PUT", map[string]string{"x-image-meta-checksum": "x"}, "0123456789", []int{200, 400, 400, 400, 400}, "active killed killed killed killed"},
		{"an unknown store", "PUT", map[string]string{"x-image-meta-store": "nowhere"}, "0123456789", []int{400, 400, 400, 400, 400}, "killed queued queued queued queued"},
	} {
		for i, status := range c.want {
			s := newRelease(t, Bexar+Release(i))
			rec, err := s.Add(Record{DiskFormat: "raw", ContainerFormat: "bare", Type: "raw"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			a := ask{method: c.method, path: s.Release.prefix() + "/images", header: map[string]string{}, body: c.body, media: octets, token: admin}
			if c.method == "PUT" {
				a.path += "/" + rec.ID
			}
			for k, v := range c.header {
				a.header[k] = strings.Replace(v, "ID", rec.ID, 1)
			}
			got := s.do(t, a)
			rec, _ = s.Image(rec.ID)
			if got.status != status || c.after != "" && rec.Status != strings.Fields(c.after)[i] {
				t.Errorf("%s, release %d: %d, want %d; then %s", c.name, s.Release, got.status, status, rec.Status)
			}
		}
	}
}

// Properties that a change does not name.
func TestV1Properties(t *testing.T) {
	for _, c := range []struct {
		name string
		h    map[string]string
		body string
		want []string // what is left of a and c, in Bexar, Cactus, Diablo, Essex, Queens
	}{
		{"another", map[string]string{"x-image-meta-property-c": "3"}, "", []string{"ac", "c", "c", "c", "c"}},
		{"kept", map[string]string{"x-image-meta-property-c": "3", "x-glance-registry-purge-props": "false"}, "", []string{"ac", "c", "c", "ac", "ac"}},
		{"with data", nil, "data", []string{"a", "", "", "a", "a"}},
	} {
		for i, want := range c.want {
			s := newRelease(t, Bexar+Release(i))
			rec, err := s.Add(Record{DiskFormat: "raw", ContainerFormat: "bare", Type: "raw", Properties: map[string]string{"a": "1"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.do(t, ask{method: "PUT", path: s.Release.prefix() + "/images/" + rec.ID, header: c.h, body: c.body, media: octets, token: admin})
			rec, _ = s.Image(rec.ID)
			got := ""
			for _, k := range []string{"a", "c"} {
				if _, ok := rec.Properties[k]; ok {
					got += k
				}
			}
			if got != want {
				t.Errorf("%s, release %d: %q, want %q", c.name, s.Release, got, want)
			}
		}
	}
}

// A body that breaks off, with a length and in chunks.
func TestV1Cut(t *testing.T) {
	for r, want := range map[Release]string{Bexar: "active killed", Cactus: "active killed", Diablo: "active killed", Essex: "active killed", Queens: "killed killed"} {
		s := newRelease(t, r)
		var got []string
		for _, length := range []int64{10, -1} {
			rec, err := s.Add(Record{DiskFormat: "raw", ContainerFormat: "bare", Type: "raw"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			body := io.MultiReader(strings.NewReader("0123"), brokenReader{})
			req, err := http.NewRequestWithContext(t.Context(), "PUT", s.url+r.prefix()+"/images/"+rec.ID, body)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			req.Header.Set("Content-Type", octets)
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
			for rec.Status == statusQueued || rec.Status == statusSaving {
				rec, _ = s.Image(rec.ID)
			}
			got = append(got, rec.Status)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("release %d: %s, want %s", r, g, want)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
