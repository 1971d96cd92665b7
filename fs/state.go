package fs

import (
	"context"
	"encoding/json"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"time"

	"glancefs/glanceapi"
)

const (
	stateFile = "catalog.json"
	// saveEvery is how often what has become known is saved, if anything has.
	saveEvery = 5 * time.Second
)

// A State is what a mount knows of the service's images, kept beside the
// cache: with it a mount can start, and serve what is cached, while the service
// is down.
type State struct {
	Account  string // whose view of which service it is
	Endpoint string
	Version  string
	Images   []glanceapi.Image
	Listed   []string // ids in the order of the last listing; null before there was one
}

// LoadState reads the state beside the cache in dir. It fails with
// io/fs.ErrNotExist when there is none, or when it is of another account.
func LoadState(dir, account string) (*State, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	if s.Account != account {
		return nil, fmt.Errorf("%s is of %s: %w", stateFile, s.Account, iofs.ErrNotExist)
	}
	return &s, nil
}

// save writes s in place of what was there, or leaves that.
func (s *State) save(dir string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, stateFile), b, false)
}

// keepState saves the catalog whenever it has changed, until ctx ends.
func (t *tree) keepState(ctx context.Context, account string) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	var saved int
	for more := true; more; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			more = false
		}
		s, changes := t.catalog.state()
		if changes == saved {
			continue
		}
		s.Account, s.Endpoint, s.Version = account, t.service.Endpoint(), t.service.Version()
		if err := s.save(t.cacheDir); err != nil {
			t.log.Warn("what is known of the images is not saved", "err", err)
			continue
		}
		saved = changes
	}
}

// state returns what is known, and a number that changes whenever that does.
func (c *catalog) state() (s *State, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = &State{}
	for _, r := range c.images {
		s.Images = append(s.Images, r.image)
	}
	if l := c.best(); l != nil {
		s.Listed = l.walk.ids
	}
	return s, c.changes
}

// restore takes in what was known once. It is not fresh, so it only serves when
// the service does not answer.
func (c *catalog) restore(s *State) {
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
	}
}

// best is the listing, or else the saved one. Called with mu held.
func (c *catalog) best() *listing {
	if c.listing != nil {
		return c.listing
	}
	return c.saved
}
