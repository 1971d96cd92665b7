package catalog

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestListingGoesOn has a catalog go on with what another one has saved: it shows
// what is new although a reading from start to end does not come to its end.
func TestListingGoesOn(t *testing.T) {
	s := glancetest.New(t)
	s.AddN(t, 250)
	first := catalogOf(t, s, time.Hour)
	if n := len(ids(t, first)); n != 250 {
		t.Fatalf("%d images", n)
	}
	var saved bytes.Buffer
	if err := first.Save(&saved, State{Account: "somebody"}); err != nil {
		t.Fatal(err)
	}
	state, err := ReadState(&saved, "somebody")
	if err != nil {
		t.Fatal(err)
	}
	id := s.Add(t, "new", []byte("new"))
	next := catalogOf(t, s, time.Hour)
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang, Match: func(r *http.Request) bool { return !r.URL.Query().Has("updated_at") }})
	next.Restore(state, true)
	all := ids(t, next)
	for range 30 { // a busy machine's answer may come after the caller's second
		if len(all) > 250 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		all = ids(t, next)
	}
	if len(all) != 251 || !slices.Contains(all, id) {
		t.Errorf("%d images are listed", len(all))
	}
	s.SetFaults()
	<-next.readAnew() // with the one that is under way
	if n := len(ids(t, next)); n != 251 {
		t.Errorf("%d images are listed in the end", n)
	}
}
