package glanceapi_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// The tests in this file run against a whole image service.

func newClient(t *testing.T, s *glancetest.Server) *glanceapi.Client {
	t.Helper()
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func names(t *testing.T, c *glanceapi.Client, q glanceapi.Query) []string {
	t.Helper()
	var all []string
	for p, err := range c.Images(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range p.Images {
			all = append(all, i.Name)
		}
	}
	return all
}

func TestServiceLists(t *testing.T) {
	s := glancetest.New(t)
	odd := []string{"a:b", "in:x,y", `"q"`, "%41", "a+b&c=d", "x\ny", "", "..", "a/b"}
	for _, n := range odd {
		s.Add(t, n, []byte(n))
	}
	s.AddN(t, 230)
	c := newClient(t, s)
	if n := len(names(t, c, glanceapi.Query{})); n != 230+len(odd) {
		t.Errorf("%d images", n)
	}
	for _, n := range odd {
		if n == "" {
			continue // which asks for any name
		}
		if diff := cmp.Diff([]string{n}, names(t, c, glanceapi.Query{Name: n, Sort: "updated_at"})); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", n, diff)
		}
	}
	if got := names(t, c, glanceapi.Query{UpdatedSince: time.Now().Add(time.Hour)}); got != nil {
		t.Errorf("images changed in the future: %q", got)
	}
}

func TestServiceImage(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	c := newClient(t, s)
	i, err := c.Image(t.Context(), id)
	if err != nil || i.ID != id || i.Name != "one" || i.Size != 10 || i.Status != "active" || i.CreatedAt.IsZero() {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := c.Image(t.Context(), "00000000-0000-4000-8000-000000000000"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if m, err := c.Members(t.Context(), id); err != nil || len(m) != 0 {
		t.Errorf("%v, %v", m, err)
	}
}

// Whatever the service does to a Range, the bytes are the image's.
func TestServiceData(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	size := int64(len(data))
	for name, mode := range map[string]server.RangeMode{"honoured": server.RangesServed, "refused": server.RangesRefused, "ignored": server.RangesIgnored} {
		t.Run(name, func(t *testing.T) {
			s := glancetest.New(t)
			id := s.Add(t, "one", data)
			s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Ranges: mode})
			c := newClient(t, s)
			for _, at := range []struct{ off, n int64 }{{0, size}, {0, 10}, {1000, 1}, {size - 1, 100}, {70000, 65536}} {
				d, err := c.OpenData(t.Context(), id, at.off, at.n, size)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(d.Body)
				d.Body.Close()
				if err != nil || !bytes.Equal(got, data[d.Start:d.End]) || d.Start > at.off || d.End < min(at.off+at.n, size) {
					t.Errorf("%d bytes at %d: [%d, %d), %v", at.n, at.off, d.Start, d.End, err)
				}
			}
		})
	}
}

// A refusal of a Range that is cut off within its words may be asked for again.
func TestServiceRefusalCut(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	s := glancetest.New(t)
	id := s.Add(t, "one", data)
	s.SetFaults(
		glancetest.Fault{Match: glancetest.IsData, Ranges: server.RangesRefused},
		glancetest.Fault{Match: glancetest.IsData, Times: 1, Break: glancetest.Cut, After: 19},
	)
	c := newClient(t, s)
	if _, err := c.OpenData(t.Context(), id, 1000, 10, int64(len(data))); !glanceapi.Temporary(err) {
		t.Errorf("%v, which is not temporary", err)
	}
	d, err := c.OpenData(t.Context(), id, 1000, 10, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	d.Body.Close()
	if d.Start != 0 {
		t.Errorf("it starts at %d", d.Start)
	}
}

// A stream that is cut says so, and can be resumed where it ended.
func TestServiceCut(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	s := glancetest.New(t)
	id := s.Add(t, "one", data)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Times: 3, Break: glancetest.Cut, After: 50000})
	c := newClient(t, s)
	var got []byte
	cuts := 0
	for len(got) < len(data) {
		off := int64(len(got))
		d, err := c.OpenData(t.Context(), id, off, int64(len(data))-off, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if d.Start != off {
			t.Fatalf("the stream starts at %d, not %d", d.Start, off)
		}
		part, err := io.ReadAll(d.Body)
		d.Body.Close()
		got = append(got, part...)
		if err != nil {
			if cuts++; !glanceapi.Temporary(err) || cuts > 3 {
				t.Fatal(err)
			}
		}
	}
	if cuts != 3 || !bytes.Equal(got, data) {
		t.Errorf("%d cuts, the bytes agree: %v", cuts, bytes.Equal(got, data))
	}
}

func TestServiceDown(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	c := newClient(t, s)
	s.SetFaults(glancetest.Fault{Times: 2, Status: http.StatusServiceUnavailable})
	if _, err := c.Image(t.Context(), id); err != nil {
		t.Errorf("metadata after two refusals: %v", err)
	}
	s.SetFaults(glancetest.Fault{Times: 1, Break: glancetest.Drop})
	if _, err := c.Image(t.Context(), id); err != nil {
		t.Errorf("metadata after a lost connection: %v", err)
	}
	s.SetFaults(glancetest.Fault{Status: http.StatusServiceUnavailable})
	if _, err := c.OpenData(t.Context(), id, 0, 10, 10); !glanceapi.Temporary(err) {
		t.Errorf("data while the service is down: %v", err)
	}
}
