package catalog

import (
	"slices"
	"time"

	"glancefs/glanceapi"
)

// An image is often deleted, or hidden, to make room for another one of its name, and of
// that one alone a reading of changes tells. So the names that images have got which
// others had are asked for, a few for each such reading: there may be many at once, and
// a reading from start to end settles them all.

// rival notes the name of an image that a reading of changes, begun at a time, has told
// of, if others are listed under it that it has not told of. Called with mu held.
func (c *Catalog) rival(img glanceapi.Image, since time.Time) {
	others := slices.ContainsFunc(c.listing.names[img.Name], func(id string) bool {
		return id != img.ID && c.images[id].at.Before(since)
	})
	if others && !img.Hidden && !slices.Contains(c.rivals, img.Name) {
		c.rivals = append(c.rivals, img.Name)
	}
}

// rivaled takes the next names that are to be asked for. What has one bearer by now,
// or several who were all seen of late, is in no doubt.
func (c *Catalog) rivaled() (names []string) {
	c.mu.Lock()
	all := c.rivals
	c.rivals = nil
	c.mu.Unlock()
	for i, name := range all {
		if len(names) == loneLimit {
			c.mu.Lock()
			c.rivals = append(all[i:len(all):len(all)], c.rivals...)
			c.mu.Unlock()
			break
		}
		if images, _ := c.listedAs(name, true); !c.sure(images) {
			names = append(names, name)
		}
	}
	return names
}
