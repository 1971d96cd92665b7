package glanceapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeHeaderV1(t *testing.T) {
	created := time.Date(2026, 11, 22, 4, 7, 38, 248313000, time.UTC)
	for _, c := range []struct {
		name string
		h    string
		old  bool
		want recordV1
	}{
		{"the first release", "X-Image-Meta-Id: 7\nX-Image-Meta-Name: None\nX-Image-Meta-Type: machine\nX-Image-Meta-Is_public: True\nX-Image-Meta-Size: 0\n" +
			"X-Image-Meta-Status: queued\nX-Image-Meta-Updated_at: None\nX-Image-Meta-Property-Os_type: linux\nX-Image-Meta-Properties: {'a': 'b'}\nX-Image-Meta-Location: file:///x\n", true,
			recordV1{typed: true, Image: Image{ID: "7", Status: "queued", Visibility: "public", Size: UnknownSize, VirtualSize: UnknownSize,
				DiskFormat: "ami", ContainerFormat: "ami", Properties: map[string]string{"os_type": "linux"}}}},
		{"a later one", "X-Image-Meta-Id: " + id1 + "\nX-Image-Meta-Name: None\nX-Image-Meta-Size: 0\nX-Image-Meta-Status: active\nX-Image-Meta-Is_public: False\n" +
			"X-Image-Meta-Created_at: 2026-11-22T04:07:38.248313\nX-Image-Meta-Protected: True\nX-Image-Meta-Min_disk: 3\nX-Image-Meta-Min_ram: -1\n" +
			"X-Image-Meta-Checksum: ABC\nX-Image-Meta-Owner: p\nX-Image-Meta-Disk_format: raw\nX-Image-Meta-Container_format: bare\nX-Image-Meta-Virtual_size: 9\n" +
			"X-Image-Meta-Property-Name: other\nX-Image-Meta-Property-A: 1\nX-Image-Meta-Property-A: 2\nX-Image-Meta-Something: new\n", false,
			recordV1{keeps: true, Image: Image{ID: id1, Name: "None", Status: "active", Visibility: "private", VirtualSize: 9, CreatedAt: created, Protected: true, MinDisk: 3,
				Checksum: "abc", Owner: "p", DiskFormat: "raw", ContainerFormat: "bare", Properties: map[string]string{"name": "other", "a": "1,2"}}}},
		{"with hyphens, as the documents say", "X-Image-Meta-Disk-Format: raw\nX-Image-Meta-Is-Public: true\nX-Image-Meta-Size: x\n", false,
			recordV1{Image: Image{ID: "asked", Visibility: "public", DiskFormat: "raw", Size: UnknownSize, VirtualSize: UnknownSize}}},
	} {
		h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(c.h + "\n"))).ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		got := decodeHeaderV1(http.Header(h), "asked", c.old)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(recordV1{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestDecodeRecordV1(t *testing.T) {
	got, err := decodeRecordV1([]byte(`{"id": 7, "name": null, "size": 10, "status": "active", "is_public": true, "deleted": false, "updated_at": null, "checksum": null,
		"created_at": "2026-11-22T04:07:38", "properties": {"Os Type": "x", "none": null, "n": 3}, "location": "http://u:p@h/", "owner": null, "min_disk": {}, "x": []}`))
	want := recordV1{Image: Image{ID: "7", Status: "active", Visibility: "public", Size: 10, VirtualSize: UnknownSize, CreatedAt: time.Date(2026, 11, 22, 4, 7, 38, 0, time.UTC),
		Properties: map[string]string{"Os Type": "x", "none": "", "n": "3"}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(recordV1{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for _, doc := range []string{``, `[]`, `{"properties": []}`, `{"properties": "x"}`, `{"id"`} {
		if _, err := decodeRecordV1([]byte(doc)); err == nil {
			t.Errorf("%s is taken", doc)
		}
	}
}

// wire sends a service's headers as they are and reads an answer's.
func wire(t *testing.T, h http.Header) http.Header {
	t.Helper()
	var b bytes.Buffer
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\r\n")
	read, err := textproto.NewReader(bufio.NewReader(&b)).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	return http.Header(read)
}

// What a claim says comes back from a service that does with it what they do.
func FuzzClaim(f *testing.F) {
	f.Add("Ubuntu 10.10", "distro", "a, b: c")
	f.Add("grün", "os_type", "\u00a0x")
	f.Add(" a", "OS-Type", "x\ny")
	f.Add("None", "a b", "%41")
	f.Fuzz(func(t *testing.T, name, key, value string) {
		sent, err := v1{prefix: "/v1"}.header(claim{fields: map[string]string{"name": name}, properties: map[string]string{key: value}})
		if err != nil {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		stored := http.Header{}
		for k, v := range wire(t, sent) {
			stored["X-Image-Meta-"+strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(k), "-", "_"), metaPrefix)] = v
		}
		for k, v := range stored {
			if p, ok := strings.CutPrefix(k, "X-Image-Meta-property_"); ok {
				delete(stored, k)
				stored["X-Image-Meta-Property-"+p] = v
			}
		}
		got := decodeHeaderV1(wire(t, stored), id1, false)
		if got.Name != name || len(got.Properties) != 1 || got.Properties[key] != value {
			t.Errorf("%q, %q: %q comes back as %q, %q", name, key, value, got.Name, got.Properties)
		}
	})
}

func FuzzDecodeHeaderV1(f *testing.F) {
	f.Add("X-Image-Meta-Size", "-5", true)
	f.Add("X-Image-Meta-Property-", "x", false)
	f.Add("x_image_meta_created_at", "None", true)
	f.Fuzz(func(t *testing.T, name, value string, old bool) {
		r := decodeHeaderV1(http.Header{name: {value}}, id1, old)
		if r.ID == "" && value != "" && value != "None" || r.Size < UnknownSize || r.VirtualSize < UnknownSize || r.MinDisk < 0 || r.MinRAM < 0 {
			t.Errorf("%q: %q gives %+v", name, value, r)
		}
	})
}

func FuzzDecodeRecordV1(f *testing.F) {
	f.Add([]byte(`{"id": 7, "size": 1e3, "properties": {"a": [1]}, "is_public": 1}`))
	f.Add([]byte("{\"name\":\"\xff\",\"properties\":null}"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := decodeRecordV1(doc)
		if err == nil && (r.Size < UnknownSize || r.VirtualSize < UnknownSize || r.MinDisk < 0 || r.MinRAM < 0) {
			t.Errorf("%q gives %+v", doc, r)
		}
	})
}

// FuzzNewImageV2 writes an image as JSON and reads it as the service would show
// it.
func FuzzNewImageV2(f *testing.F) {
	f.Add("name", "owner", "tag", "key", "value", int64(3))
	f.Add("\u2028<&>", "\x00", "", "a/b~", "\"", int64(-1))
	f.Fuzz(func(t *testing.T, name, owner, tag, key, value string, min int64) {
		n := NewImage{ID: id1, Name: name, Owner: owner, Tags: []string{tag}, MinDisk: min, Properties: map[string]string{key: value}}
		if n.checkText() != nil {
			return
		}
		doc, err := encodeNewV2(n)
		if err != nil {
			if !isFieldV2(key) || !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q: %v", key, err)
			}
			return
		}
		got, err := decodeImageV2(doc)
		want := Image{ID: id1, Name: name, Owner: owner, Tags: n.Tags, MinDisk: max(0, min), Properties: n.Properties, Size: UnknownSize, VirtualSize: UnknownSize}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", doc, err, diff)
		}
	})
}

// Headers that are none make an image unreadable on its own; the list has it.
// They are no reason to ask for a minute.
func TestMalformedHeadersV1(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/versions":
			answer(300, `{"versions":[{"id":"v1.1"}]}`)(w, r)
		case "/v1/images/detail":
			io.WriteString(w, `{"images":[{"id":"`+id1+`","name":"one","status":"active","size":4,"properties":{"a/b":"c"}}]}`)
		case "/v1/images/" + id1:
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Image-Meta-Id: %s\r\nX-Image-Meta-Property-A/b: c\r\nContent-Length: 0\r\n\r\n", id1)
		default:
			http.NotFound(w, r)
		}
	}))
	c := newClientOf(t, Config{Endpoint: "http://" + l.Addr().String(), Timeout: time.Minute})
	i, err := c.Image(t.Context(), id1)
	if err != nil || i.Name != "one" || i.Properties["a/b"] != "c" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := c.OpenData(t.Context(), id1, 0, 4, 4); err == nil || Temporary(err) {
		t.Errorf("its data: %v", err)
	}
	if n := c.Stats().Retries; n != 0 {
		t.Errorf("%d retries", n)
	}
}
