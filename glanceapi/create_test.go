package glanceapi_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

const newID = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"

func isPost(r *http.Request) bool   { return r.Method == http.MethodPost }
func isDelete(r *http.Request) bool { return r.Method == http.MethodDelete }

func TestCreate(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	for _, f := range []struct {
		name string
		n    glanceapi.NewImage
		want glanceapi.Image
	}{
		{"nothing", glanceapi.NewImage{}, glanceapi.Image{Visibility: "shared"}},
		{"everything", glanceapi.NewImage{
			ID: newID, Name: "ä <&> \n/", Visibility: "community", DiskFormat: "qcow2", ContainerFormat: "bare", Owner: "me", Protected: true,
			Hidden: true, MinDisk: 3, MinRAM: 512, Tags: []string{"b", "a"}, Properties: map[string]string{"os/distro": "ü", "": "x"},
		}, glanceapi.Image{
			ID: newID, Name: "ä <&> \n/", Visibility: "community", DiskFormat: "qcow2", ContainerFormat: "bare", Owner: "me", Protected: true,
			Hidden: true, MinDisk: 3, MinRAM: 512, Tags: []string{"a", "b"}, Properties: map[string]string{"os/distro": "ü", "": "x"},
		}},
		{"a type", glanceapi.NewImage{Type: "kernel"}, glanceapi.Image{Visibility: "shared", DiskFormat: "aki", ContainerFormat: "aki"}},
		{"a type and formats", glanceapi.NewImage{Type: "raw", DiskFormat: "iso", ContainerFormat: "bare"}, glanceapi.Image{Visibility: "shared", DiskFormat: "iso", ContainerFormat: "bare"}},
	} {
		got, err := c.Create(t.Context(), f.n)
		if f.want.ID == "" {
			f.want.ID = got.ID
		}
		f.want.Status, f.want.Size, f.want.VirtualSize = "queued", glanceapi.UnknownSize, glanceapi.UnknownSize
		if diff := cmp.Diff(f.want, got, cmpopts.IgnoreFields(glanceapi.Image{}, "CreatedAt", "UpdatedAt")); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", f.name, err, diff)
		}
	}
}

func TestCreateRefused(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	taken := s.Add(t, "one", []byte("x"))
	gone := s.AddQueued(t, "two")
	if err := c.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		n      glanceapi.NewImage
		is     error
		reason string
	}{
		{glanceapi.NewImage{ID: taken}, fs.ErrExist, "already exists"},
		{glanceapi.NewImage{ID: gone}, fs.ErrExist, "already exists"},
		{glanceapi.NewImage{ID: "7"}, fs.ErrInvalid, "does not match"},
		{glanceapi.NewImage{ID: "../7"}, fs.ErrInvalid, "../7"},
		{glanceapi.NewImage{DiskFormat: "floppy"}, fs.ErrInvalid, "floppy"},
		{glanceapi.NewImage{Name: strings.Repeat("x", 256)}, fs.ErrInvalid, "too long"},
		{glanceapi.NewImage{Name: "x\xff"}, fs.ErrInvalid, "not UTF-8"},
		{glanceapi.NewImage{Tags: []string{"\xff"}}, fs.ErrInvalid, "not UTF-8"},
		{glanceapi.NewImage{Properties: map[string]string{"size": "3"}}, fs.ErrInvalid, `"size"`},
		{glanceapi.NewImage{Type: "floppy"}, fs.ErrInvalid, "floppy"},
		{glanceapi.NewImage{Store: "cheap"}, fs.ErrInvalid, "one store"},
	} {
		before := s.MetadataRequests()
		_, err := c.Create(t.Context(), f.n)
		if !errors.Is(err, f.is) || errors.Is(err, glanceapi.ErrConflict) || !strings.Contains(err.Error(), f.reason) {
			t.Errorf("%+v: %v", f.n, err)
		}
		if n := s.MetadataRequests() - before; n > 1 {
			t.Errorf("%+v: %d requests", f.n, n)
		}
	}
	if all := names(t, c, glanceapi.Query{}); len(all) != 1 {
		t.Errorf("images in the end: %q", all)
	}
}

// Creating with an id of our own may be repeated; without, it must not be.
func TestCreateAgain(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	for _, f := range []glancetest.Fault{
		{Match: isPost, Status: 503, Times: 2}, {Match: isPost, Break: glancetest.Drop, Times: 1}, {Match: isPost, Break: glancetest.DropAnswer, Times: 1},
	} {
		s.SetFaults(f)
		n := glanceapi.NewImage{ID: strings.Replace(newID, "0f0f", "abcd", 1), Name: "again"}
		if i, err := c.Create(t.Context(), n); err != nil || i.ID != n.ID || i.Name != "again" {
			t.Errorf("%+v: %+v, %v", f, i, err)
		}
		if _, err := c.Create(t.Context(), n); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second time: %v", err)
		}
		s.SetFaults(glancetest.Fault{Match: isDelete, Break: f.Break, Status: f.Status, Times: 1})
		if err := c.Delete(t.Context(), n.ID); err != nil {
			t.Error(err)
		}
		s = glancetest.New(t) // a deleted id stays taken
		c = newClient(t, s)
	}
	s.SetFaults(glancetest.Fault{Match: isPost, Break: glancetest.DropAnswer})
	if _, err := c.Create(t.Context(), glanceapi.NewImage{Name: "once"}); !glanceapi.Temporary(err) {
		t.Errorf("%v", err)
	}
	if all := names(t, c, glanceapi.Query{}); len(all) != 1 {
		t.Errorf("%d images of one request without an id", len(all))
	}
}

func serveAt(t *testing.T, addr string, h http.Handler) *httptest.Server {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Config.SetKeepAlivesEnabled(false) // so that it is known when the next connection is made
	s.Start()
	return s
}

// One without an id waits for a service that no connection can be made to.
func TestCreateWithoutIDWaits(t *testing.T) {
	s := glancetest.New(t)
	first := serveAt(t, "127.0.0.2:0", s) // an address where nobody else takes the port meanwhile
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: first.URL, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first.Close()
	made := make(chan error)
	go func() {
		_, err := c.Create(t.Context(), glanceapi.NewImage{Name: "once"})
		made <- err
	}()
	for c.Stats().Retries == 0 {
		select {
		case err := <-made:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	defer serveAt(t, first.Listener.Addr().String(), s).Close()
	if err := <-made; err != nil {
		t.Error(err)
	}
	if all := names(t, c, glanceapi.Query{}); len(all) != 1 {
		t.Errorf("%d images", len(all))
	}
}

// One without an id, which is sent once, does not fail for a connection that has been
// idle, and that somebody on the way has forgotten.
func TestCreateWithoutIDOnFreshConnection(t *testing.T) {
	s := glancetest.New(t)
	type asked struct{}
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(asked{}).(*atomic.Int64).Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
		s.ServeHTTP(w, r)
	}))
	h.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, asked{}, new(atomic.Int64))
	}
	h.Start()
	defer h.Close()
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: h.URL, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(t.Context(), glanceapi.NewImage{Name: "once"}); err != nil {
		t.Error(err)
	}
}

// An id that somebody else took between two tries is not ours.
func TestCreateAgainMeetsAnother(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	s.AddQueued(t, "theirs", func(r *server.Record) { r.ID = newID })
	s.SetFaults(glancetest.Fault{Match: isPost, Status: 503, Times: 1})
	if _, err := c.Create(t.Context(), glanceapi.NewImage{ID: newID, Name: "ours"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
}

func TestDelete(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	id := s.Add(t, "one", []byte("x"))
	safe := s.Add(t, "two", []byte("x"), func(r *server.Record) { r.Protected = true })
	if err := c.Delete(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), safe); !errors.Is(err, glanceapi.ErrProtected) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "protected") {
		t.Errorf("a protected image: %v", err)
	}
	s.SetFaults(glancetest.Fault{Match: isDelete, Status: 403})
	if err := c.Delete(t.Context(), safe); errors.Is(err, glanceapi.ErrProtected) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an image that is not ours: %v", err)
	}
	s.SetFaults(glancetest.Fault{Match: isDelete, Status: 409})
	if err := c.Delete(t.Context(), safe); !errors.Is(err, glanceapi.ErrConflict) {
		t.Errorf("an image that is in use: %v", err)
	}
	s.SetFaults()
	for _, id := range []string{id, "..", ""} {
		if err := c.Delete(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := c.Upload(t.Context(), id, strings.NewReader("x"), 1, glanceapi.UploadOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an upload to what is deleted: %v", err)
	}
}
