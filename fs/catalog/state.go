package catalog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"slices"
	"time"

	"glancefs/glanceapi"
)

// saveBatch is how many images are looked at at a time to save them.
const saveBatch = 1000

// A State is what a mount knows of the service's images, kept beside the
// cache: with it a mount can start, and serve what is cached, while the service
// is down. On disk the images come behind the rest of it, one by one.
type State struct {
	Format   int    // stateFormat
	Account  string // whose view of which service it is
	Endpoint string
	Version  string
	Listed   []string          // ids in the order of the last listing; null before there was one
	Clock    time.Time         // of the service, when that was last true; zero if it told none
	Images   []glanceapi.Image `json:"-"`
}

// stateFormat is raised whenever an older program could not read what is written.
const stateFormat = 2

// ReadState reads what Save has written. It fails with io/fs.ErrNotExist when that is
// of another account or format.
func ReadState(r io.Reader, account string) (*State, error) {
	d := json.NewDecoder(bufio.NewReader(r))
	var s State
	if err := d.Decode(&s); err != nil {
		return nil, err
	}
	if s.Account != account || s.Format != stateFormat {
		return nil, fmt.Errorf("it is of %s, in format %d: %w", s.Account, s.Format, iofs.ErrNotExist)
	}
	for {
		var img glanceapi.Image
		switch err := d.Decode(&img); {
		case err == io.EOF:
			return &s, nil
		case err != nil:
			return nil, err
		}
		s.Images = append(s.Images, img)
	}
}

// Changes returns a number that changes whenever what is known does.
func (c *Catalog) Changes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// Save writes what is known, with s as the beginning. What becomes known
// meanwhile may or may not be in it.
func (c *Catalog) Save(w io.Writer, s State) error {
	s.Format = stateFormat
	c.mu.Lock()
	ids := slices.Collect(maps.Keys(c.images))
	if l := c.best(); l != nil {
		s.Listed, s.Clock = l.walk.ids, l.clock
	}
	c.mu.Unlock()
	buf := bufio.NewWriter(w)
	e := json.NewEncoder(buf)
	if err := e.Encode(s); err != nil {
		return err
	}
	for batch := range slices.Chunk(ids, saveBatch) {
		c.mu.Lock()
		images := c.recorded(batch)
		c.mu.Unlock()
		for _, img := range images {
			if err := e.Encode(img); err != nil {
				return err
			}
		}
	}
	return buf.Flush()
}

// Restore takes in what was known once. It is not fresh, so it only serves when
// the service does not answer; but what the process before knew a moment ago is only
// brought up to date, and read anew when somebody has looked at it.
func (c *Catalog) Restore(s *State, follows bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, img := range s.Images {
		c.images[img.ID] = record{image: img}
	}
	if s.Listed != nil {
		w := newWalk()
		w.add(s.Listed...)
		w.finish(nil)
		c.saved = c.listingOf(w)
		c.saved.clock = s.Clock
	}
	if follows && c.saved != nil && !s.Clock.IsZero() {
		c.listing, c.saved = c.saved, nil
		c.listing.full = longAgo()
	}
}

// longAgo is when a listing was read that is due to be read anew, in the background.
func longAgo() time.Time { return time.Unix(0, 0) }

// best is the listing, or else the saved one. Called with mu held.
func (c *Catalog) best() *listing {
	if c.listing != nil {
		return c.listing
	}
	return c.saved
}
