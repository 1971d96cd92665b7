package catalog

import (
	"maps"
	"slices"
	"time"

	"glancefs/glanceapi"
)

// What is done here the catalog learns from whoever does it, and not from what
// is listed or asked afterwards: it is true at once, and answers to what was
// asked before are old by then, whenever they come.

// tombs is how long a deletion is remembered: longer than any answer takes.
const tombs = time.Hour

// Made takes in an image as it is since it was made or changed here, so that it
// is listed, and has its name, at once.
func (c *Catalog) Made(img glanceapi.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetResults()
	now := time.Now()
	if !c.keep(img, now) {
		return
	}
	r := c.images[img.ID]
	r.own = now
	c.images[img.ID] = r
	if c.listing != nil && !img.Hidden && !c.listing.has(img.ID) {
		c.adopt(c.listing.walk.amended([]string{img.ID}, nil))
	}
}

// Doubt has an image asked for anew: something was to be done to it, and it is not
// known whether it was.
func (c *Catalog) Doubt(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.images[id]; ok {
		r.doubt = true
		c.images[id] = r
	}
}

// Deleted forgets an image that was deleted here.
func (c *Catalog) Deleted(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(c.removed, func(_ string, at time.Time) bool { return now.Sub(at) > tombs })
	c.removed[id] = now
	c.forgetResults()
	c.lose(id)
	if c.first != nil && c.first.has(id) {
		c.first = nil // it goes on for those who read it; the next one begins anew
	}
}

// lose forgets an image that is no more, and amends the listing. Called with mu
// held.
func (c *Catalog) lose(id string) {
	c.drop(id)
	if c.listing.has(id) {
		c.adopt(c.listing.walk.amended(nil, map[string]bool{id: true}))
	}
}

// isRemoved reports whether an image was deleted here after a time. Called with
// mu held.
func (c *Catalog) isRemoved(id string, since time.Time) bool { return c.removed[id].After(since) }

// settled returns a walk that was begun at a time without the images that were
// Deleted here since, and with those that were made here: they are listed, and
// the walk may have been past their place. Called with mu held.
func (c *Catalog) settled(w *Walk, since time.Time) *Walk {
	gone := make(map[string]bool)
	for id := range c.removed {
		if w.seen[id] && c.isRemoved(id, since) {
			gone[id] = true
		}
	}
	var first []string
	if c.listing != nil {
		first = slices.DeleteFunc(slices.Clone(c.listing.walk.ids), func(id string) bool {
			return w.seen[id] || !c.images[id].own.After(since)
		})
	}
	if len(first)+len(gone) == 0 {
		return w
	}
	return w.amended(first, gone)
}
