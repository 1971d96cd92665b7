package catalog

import (
	"bytes"
	"errors"
	iofs "io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// rename gives an image another name, as somebody elsewhere does.
func rename(t *testing.T, s *glancetest.Server, id, name string) {
	t.Helper()
	patch(t, s, id, `[{"op":"replace","path":"/name","value":"`+name+`"}]`)
}

// patch changes an image, as somebody elsewhere does.
func patch(t *testing.T, s *glancetest.Server, id, changes string) {
	t.Helper()
	patchAs(t, "", s, id, changes)
}

// patchAs is patch with a token.
func patchAs(t *testing.T, token string, s *glancetest.Server, id, changes string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.URL+"/v2/images/"+id, strings.NewReader(changes))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/openstack-images-v2.1-json-patch")
	r.Header.Set("X-Auth-Token", token)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode != http.StatusOK {
		t.Fatal(a.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

// names returns the names by which images are listed, sorted.
func names(t *testing.T, c *Catalog) (list []string) {
	t.Helper()
	found, err := c.ByName(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range found {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// What is told of changes is not all known because the latest of them are.
func TestChangesBeforeThoseThatAreKnown(t *testing.T) {
	s := glancetest.New(t)
	old := time.Now().Add(-time.Hour)
	earlier := func(r *server.Record) { r.CreatedAt, r.UpdatedAt = old, old }
	one := s.Add(t, "one", []byte("x"), earlier)
	many := s.AddN(t, 100, earlier) // as many as a page has
	c := catalogOf(t, s, time.Hour)
	names(t, c)
	rename(t, s, one, "uno")
	for _, id := range many {
		patch(t, s, id, `[{"op":"add","path":"/seen","value":"yes"}]`)
	}
	age(c)
	if err := c.Find(t.Context(), "all", glanceapi.Query{Properties: map[string]string{"seen": "yes"}}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, c); !slices.Contains(got, "uno") || slices.Contains(got, "one") {
		t.Errorf("names: %v", got)
	}
	s.Reset()
	age(c)
	names(t, c)
	asked(t, s, 1)
}

// What a reading of changes has told before it failed is listed by the next one.
func TestChangesOfAReadingThatFailed(t *testing.T) {
	s := glancetest.New(t)
	all := s.AddN(t, 150)
	c := catalogOf(t, s, time.Hour)
	before := names(t, c)
	for _, id := range all {
		img, _ := c.Known(id)
		rename(t, s, id, "new "+img.Name)
	}
	s.SetFaults(glancetest.Fault{Match: func(r *http.Request) bool { return r.URL.Query().Has("marker") }, Status: http.StatusInternalServerError})
	age(c)
	if _, err := c.update(); err == nil {
		t.Fatal("changes are told to the end")
	}
	s.SetFaults()
	got := names(t, c)
	if len(got) != len(before) || slices.ContainsFunc(got, func(n string) bool { return !strings.HasPrefix(n, "new ") }) {
		t.Errorf("%d names, of which some are old: %v", len(got), got)
	}
}

// An image that the service lists under a name, and that no change tells of, is one of
// several of that name from then on.
func TestNamedThatWasShared(t *testing.T) {
	s := glancetest.New(t)
	old := func(r *server.Record) { r.CreatedAt = time.Now().Add(-time.Hour); r.UpdatedAt = r.CreatedAt }
	mine := s.Add(t, "disk", []byte("x"), old)
	c := catalogOf(t, s, time.Hour)
	ids(t, c)
	theirs := s.Add(t, "disk", []byte("y"), old)
	age(c)
	for range 2 {
		if found, err := c.Named(t.Context(), "disk"); err != nil || len(found) != 2 {
			t.Errorf("%v, %v", found, err)
		}
		ids(t, c)
	}
	if got := ids(t, c); !slices.Contains(got, mine) || !slices.Contains(got, theirs) || len(got) != 2 {
		t.Errorf("listed: %v", got)
	}
}

// What changes while a busy service is about to send a listing is told by the next one,
// although the listing has a later date.
func TestChangeBeforeTheDateOfAListing(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	old := func(r *server.Record) { r.CreatedAt = time.Now().Add(-time.Hour); r.UpdatedAt = r.CreatedAt }
	id := s.Add(t, "one", []byte("x"), old)
	var busy atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		if busy.CompareAndSwap(true, false) {
			rename(t, s, id, "uno")
			time.Sleep(clockSlack + 1500*time.Millisecond)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(front.Close)
	c := catalogOf(t, s, time.Nanosecond)
	patient, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: front.URL, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(patient.Close)
	c.config.Service = patient
	busy.Store(true)
	ids(t, c)
	if got := names(t, c); !slices.Equal(got, []string{"uno"}) {
		t.Errorf("names: %v", got)
	}
}

// An image that is there and that the service lists no more has no name, and is not
// listed once that is known.
func TestNamedThatIsListedNoMore(t *testing.T) {
	s := glancetest.New(t, func(s *server.Server) { s.RequireToken = true })
	old := func(r *server.Record) { r.CreatedAt = time.Now().Add(-time.Hour); r.UpdatedAt = r.CreatedAt }
	theirs := s.Add(t, "disk", []byte("x"), old, func(r *server.Record) { r.Owner, r.Visibility = "them", "public" })
	mine := s.Add(t, "disk", []byte("y"), old, func(r *server.Record) { r.Owner = "us" })
	c := catalogOf(t, s, time.Hour)
	us, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Token: "we:us:member"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(us.Close)
	c.config.Service = us
	if got := ids(t, c); len(got) != 2 {
		t.Fatalf("listed: %v", got)
	}
	patchAs(t, "one:them:admin", s, theirs, `[{"op":"replace","path":"/visibility","value":"community"}]`)
	age(c)
	ids(t, c) // what is new
	for range 2 {
		if found, err := c.Named(t.Context(), "disk"); err != nil || len(found) != 1 || found[0].ID != mine {
			t.Errorf("%v, %v", found, err)
		}
	}
	if got := ids(t, c); !slices.Equal(got, []string{mine}) {
		t.Errorf("listed: %v", got)
	}
	if _, ok := c.Known(theirs); !ok {
		t.Error("it is forgotten")
	}
}

// Many images that were replaced elsewhere are found out about a few at a time.
func TestManyReplaced(t *testing.T) {
	s := glancetest.New(t)
	old := func(r *server.Record) { r.CreatedAt = time.Now().Add(-time.Hour); r.UpdatedAt = r.CreatedAt }
	all := s.AddN(t, 2*loneLimit, old)
	c := catalogOf(t, s, time.Hour)
	want := names(t, c)
	for _, id := range all {
		img, _ := c.Known(id)
		remove(t, s, id)
		s.Add(t, img.Name, []byte("y"))
	}
	for range 2 {
		age(c)
		s.Reset()
		names(t, c)
		asked(t, s, 1+2*loneLimit)
	}
	age(c)
	s.Reset()
	found, err := c.ByName(t.Context())
	asked(t, s, 1)
	if err != nil || len(found) != len(want) {
		t.Errorf("%v, %v", found, err)
	}
	for name, images := range found {
		if len(images) != 1 || slices.Contains(all, images[0].ID) {
			t.Errorf("%s: %v", name, images)
		}
	}
}

// An image that was not found before it was made here is there.
func TestMadeWhileItIsAskedFor(t *testing.T) {
	s := glancetest.New(t)
	c := catalogOf(t, s, time.Hour)
	ids(t, c)
	s.SetFaults(glancetest.Fault{Match: func(r *http.Request) bool {
		c.Made(glanceapi.Image{ID: nobodys, Name: "disk", Status: "active"})
		return false
	}})
	if _, err := c.Ask(t.Context(), nobodys); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		t.Error(err)
	}
	if _, ok := c.Known(nobodys); !ok {
		t.Error("it is forgotten")
	}
	if got := ids(t, c); !slices.Equal(got, []string{nobodys}) {
		t.Errorf("listed: %v", got)
	}
}

// What was deleted while nothing was mounted is not remembered for ever.
func TestDeletedBetweenMounts(t *testing.T) {
	s := glancetest.New(t)
	gone, hidden := s.Add(t, "gone", []byte("x")), s.Add(t, "hidden", []byte("x"))
	stays := s.Add(t, "stays", []byte("x"))
	first := catalogOf(t, s, time.Hour)
	ids(t, first)
	patch(t, s, hidden, `[{"op":"replace","path":"/os_hidden","value":true}]`)
	if _, err := first.Ask(t.Context(), hidden); err != nil {
		t.Fatal(err)
	}
	var saved bytes.Buffer
	if err := first.Save(&saved, State{Account: "somebody"}); err != nil {
		t.Fatal(err)
	}
	state, err := ReadState(&saved, "somebody")
	if err != nil {
		t.Fatal(err)
	}
	remove(t, s, gone)
	next := catalogOf(t, s, time.Hour)
	next.Restore(state, false)
	if got := ids(t, next); !slices.Equal(got, []string{stays}) {
		t.Errorf("listed: %v", got)
	}
	if _, ok := next.Known(gone); ok {
		t.Error("what was deleted is remembered")
	}
	if _, ok := next.Known(hidden); !ok {
		t.Error("what is hidden is forgotten")
	}
}
