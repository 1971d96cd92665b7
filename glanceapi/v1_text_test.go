package glanceapi_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"testing"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// Text that is not ASCII makes images of the releases of 2011 unreadable but in
// lists. What is there is found there, and nobody is let make another.
func TestV1Text(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		c := clientV1(t, s, "p")
		id := s.Add(t, "grün", []byte("x"), func(r *server.Record) { r.Visibility = "public" })
		if i, err := c.Image(t.Context(), id); err != nil || i.Name != "grün" || i.Status != "active" {
			t.Errorf("%+v, %v", i, err)
		}
		if _, err := c.Image(t.Context(), "77777777"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if got := names(t, c, glanceapi.Query{Name: "grün"}); len(got) != 1 {
			t.Errorf("by name: %q", got)
		}
		plain := s.Add(t, "plain", []byte("x"), ownedBy("p"), func(r *server.Record) { r.Properties = map[string]string{"a": "b"} })
		_, err := c.Update(t.Context(), plain, glanceapi.Change{Name: new("grün"), Set: map[string]string{"c": "d"}})
		i, ierr := c.Image(t.Context(), plain)
		if r == server.Queens {
			if err != nil || ierr != nil || i.Name != "grün" || len(i.Properties) != 2 {
				t.Errorf("%+v, %v, %v", i, err, ierr)
			}
		} else if !errors.Is(err, fs.ErrInvalid) || ierr != nil || i.Name != "plain" || len(i.Properties) != 1 {
			t.Errorf("%+v, %v, %v", i, err, ierr)
		}
		if i, err := c.Update(t.Context(), id, glanceapi.Change{Name: new("green")}); err != nil || i.Name != "green" {
			t.Errorf("repaired: %+v, %v", i, err)
		}
		if _, err := c.OpenData(t.Context(), id, 0, 1, 1); err != nil {
			t.Errorf("its data: %v", err)
		}
	})
}

// A 500 is final where it is the service's way to refuse, so it is not asked
// again for a minute; a service that is down is.
func TestV1Down(t *testing.T) {
	s := glancetest.New(t)
	s.Images.Release = server.Essex
	id := s.Add(t, "one", []byte("x"), ownedBy("p"))
	c := clientV1(t, s, "p")
	isHead := func(r *http.Request) bool { return r.Method == http.MethodHead }
	s.SetFaults(glancetest.Fault{Match: isHead, Times: 2, Status: 503}, glancetest.Fault{Match: isHead, Times: 1, Break: glancetest.Drop})
	if _, err := c.Image(t.Context(), id); err != nil {
		t.Error(err)
	}
	s.SetFaults(glancetest.Fault{Match: isPost, Status: 500, Message: "Traceback (most recent call last):\n ..."})
	s.Reset()
	if _, err := c.Create(t.Context(), glanceapi.NewImage{ID: newID, Type: "raw"}); !errors.Is(err, fs.ErrInvalid) || len(s.Requests()) != 2 {
		t.Errorf("%v after %d requests", err, len(s.Requests()))
	}
}

// Properties are headers in v1, of which servers take so many and no more.
func TestV1TooManyHeaders(t *testing.T) {
	s := glancetest.New(t)
	c := clientV1(t, s, "p")
	id := create(t, c)
	s.SetFaults(glancetest.Fault{Match: func(r *http.Request) bool { return len(r.Header) > 50 }, Status: 431, Message: "got more than 50 headers"})
	many := map[string]string{}
	for n := range 50 {
		many[fmt.Sprintf("k%d", n)] = "v"
	}
	if _, err := c.Create(t.Context(), glanceapi.NewImage{Properties: many}); !errors.Is(err, glanceapi.ErrTooLarge) {
		t.Errorf("create: %v", err)
	}
	if _, err := c.Update(t.Context(), id, glanceapi.Change{Set: many}); !errors.Is(err, glanceapi.ErrTooLarge) {
		t.Errorf("update: %v", err)
	}
}

// Once a service has told of an image it is known whether ids may be chosen; then an
// image whose creation has lost its answer is found again.
func TestV1Chosen(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		s.Add(t, "one", []byte("x"), func(r *server.Record) { r.Visibility = "public" })
		c := clientV1(t, s, "p")
		if c.TakesUUIDs() {
			t.Error("it takes UUIDs before anything is known")
		}
		names(t, c, glanceapi.Query{})
		if c.TakesUUIDs() != (r >= server.Essex) {
			t.Errorf("it takes UUIDs: %v", c.TakesUUIDs())
		}
		if r < server.Essex {
			return
		}
		s.SetFaults(glancetest.Fault{Match: isPost, Break: glancetest.DropAnswer, Times: 1})
		if i, err := c.Create(t.Context(), glanceapi.NewImage{ID: newID, Name: "two"}); err != nil || i.ID != newID {
			t.Errorf("%+v, %v", i, err)
		}
		if got := names(t, c, glanceapi.Query{Name: "two"}); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}
