package fs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"glancefs/cache"
	"glancefs/glanceapi"
)

const (
	stateFile = "catalog.json"
	// saveEvery is how often what has become known is saved, if anything has, and
	// if that takes no more than one part in saveShare of the time.
	saveEvery = 5 * time.Second
	saveShare = 50
	// saveBatch is how many images are looked at at a time for that.
	saveBatch = 1000
)

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

const stateFormat = 2

// LoadState reads the state beside the cache in dir. It fails with
// io/fs.ErrNotExist when there is none, or when it is of another account or
// format.
func LoadState(dir, account string) (*State, error) {
	f, err := cache.OpenPrivate(filepath.Join(dir, stateFile), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(bufio.NewReader(f))
	var s State
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	if s.Account != account || s.Format != stateFormat {
		return nil, fmt.Errorf("%s is of %s, in format %d: %w", stateFile, s.Account, s.Format, iofs.ErrNotExist)
	}
	for {
		var img glanceapi.Image
		switch err := d.Decode(&img); {
		case err == io.EOF:
			return &s, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", stateFile, err)
		}
		s.Images = append(s.Images, img)
	}
}

// keepState saves the catalog whenever it has changed, until ctx ends.
func (t *tree) keepState(ctx context.Context, account string) {
	wait := time.Duration(0) // who follows this process wants it to be there
	saved, failed := -1, false
	for more := true; more; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			more = false
		}
		changes := t.catalog.count()
		if changes == saved {
			continue
		}
		start := time.Now()
		s := State{Format: stateFormat, Account: account, Endpoint: t.service.Endpoint(), Version: t.service.Version()}
		err := replaceFile(filepath.Join(t.cacheDir, stateFile), false, func(w io.Writer) error { return t.catalog.save(w, s) })
		wait = max(saveEvery, saveShare*time.Since(start))
		if err != nil && !failed {
			t.log.Warn("what is known of the images is not saved", "err", err)
		}
		if failed = err != nil; !failed {
			saved = changes
		}
	}
}

// count returns a number that changes whenever what is known does.
func (c *catalog) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// save writes what is known, with s as the beginning. What becomes known
// meanwhile may or may not be in it.
func (c *catalog) save(w io.Writer, s State) error {
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

// restore takes in what was known once. It is not fresh, so it only serves when
// the service does not answer; but what the process before knew a moment ago is only
// brought up to date, and read anew when somebody has looked at it.
func (c *catalog) restore(s *State, follows bool) {
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
func (c *catalog) best() *listing {
	if c.listing != nil {
		return c.listing
	}
	return c.saved
}
