package glanceapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

const payload = "0123456789"

// refusal is how the image service answers any Range for a store that cannot seek.
const refusal = `{"message": "Getting images randomly from this store is not supported. Offset: 2, length: 3<br/>\n\n\n", "code": "400 Bad Request"}`

func TestOpenDataAnswers(t *testing.T) {
	for _, c := range []struct {
		name       string
		off, n     int64
		size       int64
		h          http.HandlerFunc
		start, end int64 // of the stream
		is         error // of opening it; errAny for any
		temporary  bool
	}{
		{"part", 2, 3, 10, answer(206, "234", "Content-Range", "bytes 2-4/10"), 2, 5, nil, false},
		{"part, total unknown", 2, 3, 10, answer(206, "234", "Content-Range", "bytes 2-4/*"), 2, 5, nil, false},
		{"part, size unknown", 2, 3, UnknownSize, answer(206, "234", "Content-Range", "bytes 2-4/10"), 2, 5, nil, false},
		{"less than asked", 2, 8, 10, answer(206, "234", "Content-Range", "bytes 2-4/10"), 2, 5, nil, false},
		{"range ignored", 2, 3, 10, answer(200, payload), 0, 10, nil, false},
		{"range ignored, size unknown", 2, 3, UnknownSize, answer(200, payload), 0, 10, nil, false},
		{"whole", 0, 10, 10, answer(200, payload), 0, 10, nil, false},
		{"beyond the end is cut", 8, 100, 10, answer(206, "89", "Content-Range", "bytes 8-9/10"), 8, 10, nil, false},

		{"other start", 2, 3, 10, answer(206, "123", "Content-Range", "bytes 1-3/10"), 0, 0, errAny, false},
		{"other end", 2, 3, 10, answer(206, "2345", "Content-Range", "bytes 2-5/10"), 0, 0, errAny, false},
		{"other total", 2, 3, 10, answer(206, "234", "Content-Range", "bytes 2-4/11"), 0, 0, errAny, false},
		{"end before start", 2, 3, 10, answer(206, "", "Content-Range", "bytes 2--1/10"), 0, 0, errAny, false},
		{"end behind total", 2, 9, UnknownSize, answer(206, "234567890", "Content-Range", "bytes 2-10/10"), 0, 0, errAny, false},
		{"no range", 2, 3, 10, answer(206, "234"), 0, 0, errAny, false},
		{"other unit", 2, 3, 10, answer(206, "234", "Content-Range", "items 2-4/10"), 0, 0, errAny, false},
		{"whole body as part", 2, 3, 10, answer(206, payload, "Content-Range", "bytes 2-4/10"), 0, 0, errAny, false},
		{"whole of other size", 2, 3, 11, answer(200, payload), 0, 0, errAny, false},
		{"offset behind the whole", 10, 1, UnknownSize, answer(200, payload), 0, 0, errAny, false},
		{"a page", 0, 10, 10, answer(200, "<p>Busy.</p>"[:10], "Content-Type", "text/html; charset=utf-8"), 0, 0, errAny, false},
		{"compressed", 2, 3, 10, answer(206, "234", "Content-Range", "bytes 2-4/10", "Content-Encoding", "gzip"), 0, 0, errAny, false},

		{"no data now", 2, 3, 10, answer(204, ""), 0, 0, ErrNoData, false},
		{"other 400", 2, 3, 10, answer(400, `{"message":"bad"}`), 0, 0, fs.ErrInvalid, false},
		{"403", 2, 3, 10, answer(403, `{"message":"deactivated"}`), 0, 0, fs.ErrPermission, false},
		{"404", 2, 3, 10, answer(404, ""), 0, 0, fs.ErrNotExist, false},
		{"416", 2, 3, 10, answer(416, ""), 0, 0, fs.ErrInvalid, false},
		{"500", 2, 3, 10, answer(500, ""), 0, 0, errAny, true},
		{"503", 2, 3, 10, answer(503, ""), 0, 0, errAny, true},
		{"connection cut", 2, 3, 10, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, 0, io.ErrUnexpectedEOF, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newTestClient(t, c.h)
			d, err := client.OpenData(t.Context(), id1, c.off, c.n, c.size)
			if c.is != nil {
				if err == nil || c.is != errAny && !errors.Is(err, c.is) || Temporary(err) != c.temporary {
					t.Fatalf("%v, temporary %v, want %v, %v", err, Temporary(err), c.is, c.temporary)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Body.Close()
			got, err := io.ReadAll(d.Body)
			if err != nil || d.Start != c.start || d.End != c.end || string(got) != payload[c.start:c.end] {
				t.Errorf("[%d, %d) %q, %v, want [%d, %d)", d.Start, d.End, got, err, c.start, c.end)
			}
		})
	}
}

var errAny = errors.New("any error")

func TestOpenDataBounds(t *testing.T) {
	client := newTestClient(t, func(w http.ResponseWriter, r *http.Request) { t.Error("a request was sent") })
	for _, c := range []struct {
		id           string
		off, n, size int64
		is           error
	}{
		{id1, -1, 1, 10, fs.ErrInvalid}, {id1, 0, 0, 10, fs.ErrInvalid}, {id1, 0, -1, 10, fs.ErrInvalid}, {id1, 10, 1, 10, fs.ErrInvalid},
		{id1, 0, 1, 0, fs.ErrInvalid}, {id1, math.MaxInt64, 1, UnknownSize, fs.ErrInvalid}, {"../" + id1, 0, 1, 10, fs.ErrNotExist},
	} {
		if _, err := client.OpenData(t.Context(), c.id, c.off, c.n, c.size); !errors.Is(err, c.is) {
			t.Errorf("OpenData(%q, %d, %d, %d): %v, want %v", c.id, c.off, c.n, c.size, err, c.is)
		}
	}
}

// A stream is held to the length it announced, whatever the framing.
func TestStreamLength(t *testing.T) {
	chunked := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-4/10")
			w.WriteHeader(http.StatusPartialContent)
			http.NewResponseController(w).Flush()
			io.WriteString(w, body)
		}
	}
	cut := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 2-4/10")
		w.Header().Set("Content-Length", "3")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "23")
	}
	for _, c := range []struct {
		name, want string
		h          http.HandlerFunc
		is         error
		temporary  bool
	}{
		{"chunked", "234", chunked("234"), nil, false},
		{"chunked, short", "2", chunked("2"), io.ErrUnexpectedEOF, true},
		{"chunked, long", "234", chunked("23456"), errAny, false},
		{"counted, cut", "23", cut, io.ErrUnexpectedEOF, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newTestClient(t, c.h)
			d, err := client.OpenData(t.Context(), id1, 2, 3, 10)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Body.Close()
			got, err := io.ReadAll(d.Body)
			if string(got) != c.want || (err != nil) != (c.is != nil) || c.is != nil && c.is != errAny && !errors.Is(err, c.is) || Temporary(err) != c.temporary {
				t.Errorf("%q, %v, temporary %v", got, err, Temporary(err))
			}
			if _, again := d.Body.Read(make([]byte, 1)); err != nil && again != err {
				t.Errorf("the next Read gives %v, not the same error again", again)
			}
		})
	}
}

// store counts requests and refuses ranges for the images in it.
type store struct {
	refuses       map[string]bool
	ranged, plain atomic.Int64
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := strings.Split(r.URL.Path, "/")[3]
	switch {
	case r.Header.Get("Range") == "":
		s.plain.Add(1)
		io.WriteString(w, payload)
	case s.refuses[id]:
		s.ranged.Add(1)
		answer(400, refusal)(w, r)
	default:
		s.ranged.Add(1)
		var a, b int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &a, &b)
		answer(206, payload[a:b+1], "Content-Range", fmt.Sprintf("bytes %d-%d/10", a, b))(w, r)
	}
}

// readPart reads n bytes at off of a payload, wherever the stream starts.
func readPart(t *testing.T, client *Client, id string, off, n, size int64) {
	t.Helper()
	d, err := client.OpenData(t.Context(), id, off, n, size)
	if err != nil {
		t.Error(err)
		return
	}
	defer d.Body.Close()
	got, err := io.ReadAll(d.Body)
	if err != nil || !bytes.Contains(got, []byte(payload[off:off+n])) || string(got) != payload[d.Start:d.End] {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRangeRefusalIsRemembered(t *testing.T) {
	s := &store{refuses: map[string]bool{id1: true}}
	client := newTestClient(t, s.ServeHTTP)
	for _, step := range []struct {
		what          string
		id            string
		off, n        int64
		ranged, plain int64 // requests so far
	}{
		{"a whole image needs no range", id2, 0, 10, 0, 1},
		{"the first refusal", id1, 4, 2, 1, 2},
		{"is known afterwards", id1, 6, 2, 1, 3},
		{"the neighbour is not asked at 0", id2, 0, 2, 1, 4},
		{"but elsewhere", id2, 3, 2, 2, 4},
		{"and then also at 0", id2, 0, 2, 3, 4},
		{"the first one still is not", id1, 0, 2, 3, 5},
	} {
		readPart(t, client, step.id, step.off, step.n, 10)
		if r, p := s.ranged.Load(), s.plain.Load(); r != step.ranged || p != step.plain {
			t.Fatalf("%s: %d ranged and %d plain requests, want %d and %d", step.what, r, p, step.ranged, step.plain)
		}
	}
}

// An answer that ignores a Range does not undo the refusal of another image's
// that came in meanwhile, not even one that ends where the Range did.
func TestIgnoredRangeProvesNothing(t *testing.T) {
	for _, c := range []struct{ n, size int64 }{{2, 10}, {10, UnknownSize}} {
		s := &store{refuses: map[string]bool{id1: true}}
		var client *Client
		client = newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, id2) && r.Header.Get("Range") != "" {
				readPart(t, client, id1, 4, 2, 10)
				r.Header.Del("Range")
			}
			s.ServeHTTP(w, r)
		})
		readPart(t, client, id2, 0, c.n, c.size)
		readPart(t, client, "another", 0, 2, 10)
		if r, p := s.ranged.Load(), s.plain.Load(); r != 1 || p != 3 {
			t.Errorf("%d bytes of %d: %d ranged and %d plain requests, want 1 and 3", c.n, c.size, r, p)
		}
	}
}

// A silent stream ends when its context does, or when it is closed.
func TestSilentStream(t *testing.T) {
	client := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "01")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for _, end := range []func(cancel func(), d Data){
		func(cancel func(), d Data) { cancel() },
		func(cancel func(), d Data) { d.Body.Close() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d, err := client.OpenData(ctx, id1, 0, 10, 10)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d.Body, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		go end(cancel, d)
		if n, err := d.Body.Read(make([]byte, 8)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("Read gave %d bytes and %v", n, err)
		}
		d.Body.Close()
	}
}

func TestDataRequest(t *testing.T) {
	var got http.Header
	var path string
	client := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		got, path = r.Header, r.URL.Path
		answer(206, "234", "Content-Range", "bytes 2-4/10")(w, r)
	})
	d, err := client.OpenData(t.Context(), id1, 2, 3, 10)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, d.Body)
	d.Body.Close()
	for k, want := range map[string]string{"Range": "bytes=2-4", "Accept-Encoding": "identity", "Accept": "application/json", "X-Auth-Token": "secret-token"} {
		if got.Get(k) != want {
			t.Errorf("%s: %q, want %q", k, got.Get(k), want)
		}
	}
	if id := got.Get(requestIDHeader); len(id) != len("req-")+36 {
		t.Errorf("request id %q", id)
	}
	if want := "/v2/images/" + id1 + "/file"; path != want {
		t.Errorf("path %s, want %s", path, want)
	}
	if s := client.Stats(); s.DataRequests != 1 || s.MetadataRequests != 2 || s.Failures != 0 || s.BytesReceived != int64(len(versionList+noImages)+3) {
		t.Errorf("%+v", s)
	}
}

// A service that is gone is a temporary error, not a missing image.
func TestOpenDataUnreachable(t *testing.T) {
	s := serve(t, answer(200, ""))
	client := newClientOf(t, Config{Endpoint: s.URL})
	s.Close()
	_, err := client.OpenData(t.Context(), id1, 0, 1, 10)
	var op *net.OpError
	if !Temporary(err) || !errors.As(err, &op) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
