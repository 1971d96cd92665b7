package catalog

import (
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// Many stale images of one listing are refreshed together.
func TestManyStaleImagesAskForTheListing(t *testing.T) {
	s := glancetest.New(t)
	all := s.AddN(t, 50)
	c := catalogOf(t, s, time.Hour)
	ids(t, c)
	c.mu.Lock()
	for id, r := range c.images {
		r.at = r.at.Add(-2 * time.Hour)
		c.images[id] = r
	}
	c.listing.synced = c.listing.synced.Add(-2 * time.Hour)
	c.mu.Unlock()
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
