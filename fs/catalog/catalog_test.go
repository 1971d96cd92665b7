package catalog

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client makes a client of s that gives up soon.
func client(t *testing.T, s *glancetest.Server) *glanceapi.Client {
	t.Helper()
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s.Reset()
	return c
}

func catalogOf(t *testing.T, s *glancetest.Server, refresh time.Duration) *Catalog {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c := New(ctx, Config{
		Service: client(t, s), Refresh: refresh, Log: slog.New(slog.DiscardHandler),
		Gone: func(glanceapi.Image) {}, Left: func(context.Context) bool { return true },
	})
	for _, kind := range []string{"id", "name", "list", "members", firstPage} {
		c.pace[kind] = time.Hour // or a busy machine's answers would not be waited for
	}
	return c
}

// nobodys is the id of no image.
const nobodys = "11111111-1111-4111-8111-111111111111"

// ids returns the listing, whole.
func ids(t *testing.T, c *Catalog) []string {
	t.Helper()
	w, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w.ids
}

// asked fails unless the server was asked n times since the last call.
func asked(t *testing.T, s *glancetest.Server, n int) {
	t.Helper()
	if got := s.Requests(); len(got) != n {
		t.Errorf("%d requests, want %d: %+v", len(got), n, got)
	}
	s.Reset()
}

func TestImageAsksOnceWithinRefresh(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "disk", []byte("x"))
	c := catalogOf(t, s, time.Hour)
	for range 3 {
		if img, err := c.Image(t.Context(), id); err != nil || img.Name != "disk" {
			t.Fatal(img, err)
		}
	}
	asked(t, s, 1)
	if _, err := c.Image(t.Context(), nobodys); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("no such image: %v", err)
	}
}

func TestListingShowsChanges(t *testing.T) {
	s := glancetest.New(t)
	old := s.AddN(t, 3)
	c := catalogOf(t, s, time.Nanosecond)
	slices.Reverse(old)
	if got := ids(t, c); !slices.Equal(got, old) {
		t.Errorf("listed %v, want %v", got, old)
	}
	asked(t, s, 1)
	added := s.Add(t, "new", []byte("x"))
	if got, want := ids(t, c), append([]string{added}, old...); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	asked(t, s, 1)
	// Where nothing has changed the answer is the same, and costs as little.
	before, _ := c.List(t.Context())
	after, _ := c.List(t.Context())
	if before != after {
		t.Error("an unchanged listing was made anew")
	}
	asked(t, s, 2)
}

// TestListingAfterLeaving has the service list an image no more because of what was
// done here. The next listing shows it, not only those after that.
func TestListingAfterLeaving(t *testing.T) {
	s := glancetest.New(t)
	all := s.AddN(t, 2)
	c := catalogOf(t, s, time.Hour)
	// What has changed is told at once, and does not show it; all takes longer.
	s.SetFaults(glancetest.Fault{Match: func(r *http.Request) bool { return r.Method == http.MethodGet && !r.URL.Query().Has("updated_at") }, Latency: 200 * time.Millisecond})
	ids(t, c)
	remove(t, s, all[0])
	c.Joined(all[0], false)
	begun := time.Now()
	// A busy machine's answer may come after the caller's patience.
	if got := ids(t, c); !slices.Equal(got, all[1:]) && time.Since(begun) < maxPatience {
		t.Errorf("listed %v, want %v", got, all[1:])
	}
}

func TestNamedAfterRename(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "before", []byte("x"))
	c := catalogOf(t, s, time.Hour)
	ids(t, c)
	if found, err := c.Named(t.Context(), "before"); err != nil || len(found) != 1 || found[0].ID != id {
		t.Errorf("before: %v, %v", found, err)
	}
	asked(t, s, 1) // the listing

	// Another catalog, without a listing, asks for the name only.
	c = catalogOf(t, s, time.Hour)
	for name, want := range map[string]int{"before": 1, "after": 0} {
		if found, err := c.Named(t.Context(), name); err != nil || len(found) != want {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	asked(t, s, 2)
}

func TestDeletionIsSeenOnUse(t *testing.T) {
	s := glancetest.New(t)
	gone, stays := s.Add(t, "gone", []byte("x")), s.Add(t, "stays", []byte("x"))
	c := catalogOf(t, s, time.Nanosecond)
	ids(t, c)
	remove(t, s, gone)
	if _, err := c.Image(t.Context(), gone); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("deleted image: %v", err)
	}
	if got := ids(t, c); !slices.Equal(got, []string{stays}) {
		t.Errorf("listed %v, want %v", got, stays)
	}
}

// A service that is down takes nothing away, and costs little time.
func TestOutageKeepsWhatIsKnown(t *testing.T) {
	for name, fault := range map[string]glancetest.Fault{"refusing": {Break: glancetest.Drop}, "failing": {Status: 503}, "hanging": {Break: glancetest.Hang}} {
		t.Run(name, func(t *testing.T) {
			s := glancetest.New(t)
			id := s.Add(t, "disk", []byte("x"))
			c := catalogOf(t, s, time.Nanosecond)
			ids(t, c)
			s.SetFaults(fault)
			for range 3 {
				if got := ids(t, c); !slices.Equal(got, []string{id}) {
					t.Errorf("listed %v", got)
				}
				if img, err := c.Image(t.Context(), id); err != nil || img.Name != "disk" {
					t.Errorf("image: %v, %v", img, err)
				}
				if found, err := c.Named(t.Context(), "disk"); err != nil || len(found) != 1 {
					t.Errorf("name: %v, %v", found, err)
				}
			}
			if _, err := c.Image(t.Context(), nobodys); err == nil || errors.Is(err, iofs.ErrNotExist) {
				t.Errorf("an unknown image while the service is down: %v", err)
			}
			s.SetFaults()
		})
	}
}

func TestFirstListingFailsThenWorks(t *testing.T) {
	s := glancetest.New(t)
	c := catalogOf(t, s, time.Hour)
	s.AddN(t, 2)
	s.SetFaults(glancetest.Fault{Status: 403})
	w, err := c.List(t.Context())
	if err == nil {
		err = w.Wait(t.Context())
	}
	if !errors.Is(err, iofs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	s.SetFaults()
	if got := ids(t, c); len(got) != 2 {
		t.Errorf("listed %v", got)
	}
}

func TestHiddenImageLeavesListing(t *testing.T) {
	s := glancetest.New(t)
	hidden := s.Add(t, "hidden", []byte("x"), func(r *server.Record) { r.Hidden = true })
	c := catalogOf(t, s, time.Hour)
	if got := ids(t, c); len(got) != 0 {
		t.Errorf("listed %v", got)
	}
	if img, err := c.Image(t.Context(), hidden); err != nil || !img.Hidden {
		t.Errorf("by id: %v, %v", img, err)
	}
	if found, err := c.Named(t.Context(), "hidden"); err != nil || len(found) != 0 {
		t.Errorf("by name: %v, %v", found, err)
	}
}

// remove deletes an image behind the catalog's back.
func remove(t *testing.T, s *glancetest.Server, id string) {
	t.Helper()
	if err := client(t, s).Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// TestRefusalIsAnAnswer: a query that the service cannot answer says nothing of its
// health, and is asked again by the next who wants to know.
func TestRefusalIsAnAnswer(t *testing.T) {
	s := glancetest.New(t)
	s.Images.Release = server.Essex
	s.Add(t, "disk", []byte("x"))
	c := catalogOf(t, s, time.Hour)
	for range 2 {
		q := glanceapi.Query{MemberStatus: "pending"}
		if err := c.Find(t.Context(), "member_status=pending", q).Wait(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("pending on v1: %v", err)
		}
	}
	if !c.Answers() {
		t.Error("the service is taken to be down")
	}
}

// TestRenamedAreListed: images that are renamed elsewhere are listed by their new
// names after one request, and not by their old ones.
func TestRenamedAreListed(t *testing.T) {
	s := glancetest.New(t)
	all := s.AddN(t, 30)
	c := catalogOf(t, s, time.Nanosecond)
	ids(t, c)
	elsewhere := client(t, s)
	for _, id := range all[:10] {
		if _, err := elsewhere.Update(t.Context(), id, glanceapi.Change{Name: new("renamed")}); err != nil {
			t.Fatal(err)
		}
	}
	s.Reset()
	names, err := c.ByName(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked(t, s, 1)
	if len(names) != 21 || len(names["renamed"]) != 10 {
		t.Errorf("%d names, %d images renamed", len(names), len(names["renamed"]))
	}
}
