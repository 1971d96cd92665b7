package catalog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// age makes all that c knows two hours old.
func age(c *Catalog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range c.images {
		r.at = r.at.Add(-2 * time.Hour)
		c.images[id] = r
	}
	c.listing.synced = c.listing.synced.Add(-2 * time.Hour)
}

// Many stale images of one listing are refreshed together.
func TestManyStaleImagesAskForTheListing(t *testing.T) {
	s := glancetest.New(t)
	all := s.AddN(t, 50)
	c := catalogOf(t, s, time.Hour)
	ids(t, c)
	age(c)
	s.Reset()
	for _, id := range all {
		if _, err := c.Image(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Requests()); n > loneLimit+1 {
		t.Errorf("%d requests for %d images", n, len(all))
	}
}

// An image that was deleted elsewhere to make room for another one of its name is not
// one of several of that name.
func TestNamedAfterReplacement(t *testing.T) {
	s := glancetest.New(t)
	old := s.Add(t, "disk", []byte("x"))
	other := s.Add(t, "other", []byte("x"), func(r *server.Record) { // which is nothing new
		r.CreatedAt = time.Now().Add(-time.Hour)
		r.UpdatedAt = r.CreatedAt
	})
	c := catalogOf(t, s, time.Hour)
	ids(t, c)
	remove(t, s, old)
	next := s.Add(t, "disk", []byte("y"))
	age(c)
	s.Reset()
	ids(t, c)      // what is new
	asked(t, s, 3) // for that, by the name, and for the former one
	for range 2 {
		if found, err := c.Named(t.Context(), "disk"); err != nil || len(found) != 1 || found[0].ID != next {
			t.Errorf("%v, %v", found, err)
		}
	}
	asked(t, s, 0)
	if got, want := ids(t, c), []string{next, other}; !slices.Equal(got, want) {
		t.Errorf("listed: %v, want %v", got, want)
	}

	// Several that are there stay several, which is asked once.
	s.Add(t, "other", []byte("z"))
	age(c)
	s.Reset()
	ids(t, c)
	asked(t, s, 2)
	age(c)
	ids(t, c)
	asked(t, s, 1)
	for range 2 {
		if found, err := c.Named(t.Context(), "other"); err != nil || len(found) != 2 {
			t.Errorf("%v, %v", found, err)
		}
	}
	asked(t, s, 1)
}

// What v1 tells of killed images is for those who ask for changes, and lists none.
func TestKilledIsNotListed(t *testing.T) {
	s := glancetest.New(t, func(s *server.Server) { s.Release = server.Essex })
	was, id := s.AddQueued(t, "was"), s.Add(t, "disk", []byte("x"))
	c := catalogOf(t, s, time.Hour)
	if got, want := ids(t, c), []string{id, was}; !slices.Equal(got, want) {
		t.Errorf("listed: %v, want %v", got, want)
	}
	for _, kill := range []string{was, s.AddQueued(t, "disk")} {
		o := glanceapi.UploadOptions{MD5: "11111111111111111111111111111111"}
		if err := client(t, s).Upload(t.Context(), kill, strings.NewReader("x"), 1, o); err == nil {
			t.Fatal("a checksum that is wrong is taken")
		}
	}
	age(c)
	if got := ids(t, c); !slices.Equal(got, []string{id}) {
		t.Errorf("listed: %v, want %v", got, id)
	}
	if found, err := c.Named(t.Context(), "disk"); err != nil || len(found) != 1 || found[0].ID != id {
		t.Errorf("%v, %v", found, err)
	}
	if img, ok := c.Known(was); !ok || img.Status != "killed" {
		t.Errorf("%+v", img)
	}
}
