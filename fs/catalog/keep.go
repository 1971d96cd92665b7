package catalog

import (
	"reflect"
	"time"

	"glancefs/glanceapi"
)

// keep records an image as an answer to what was asked at a time tells of it,
// unless what was done here since makes that old. It returns false for an image
// that is no more. A listing in which it was otherwise is amended. Called with
// mu held.
func (c *Catalog) keep(img glanceapi.Image, asked time.Time) bool {
	return len(c.keepAll([]glanceapi.Image{img}, asked)) > 0
}

// keepAll is keep for all images of an answer, and returns the ids of those that
// are there. A listing is amended once, because that takes as long as it is.
// Called with mu held.
func (c *Catalog) keepAll(images []glanceapi.Image, asked time.Time) (kept []string) {
	relist, hidden := false, make(map[string]bool)
	for _, img := range images {
		ok, otherwise := c.record(img, asked)
		if ok {
			kept = append(kept, img.ID)
		}
		if otherwise {
			relist = true
			hidden[img.ID] = img.Hidden
		}
	}
	if relist {
		c.adopt(c.listing.walk.amended(nil, hidden))
	}
	return kept
}

// record is keep but for the listing, of which it tells whether the image is
// otherwise in it. Called with mu held.
func (c *Catalog) record(img glanceapi.Image, asked time.Time) (ok, otherwise bool) {
	if c.isRemoved(img.ID, asked) {
		return false, false
	}
	r := c.images[img.ID]
	if r.own.After(asked) {
		return true, false
	}
	old := r.image
	if old.Status == "active" && (img.Status == "queued" || img.Status == "saving") && !img.UpdatedAt.After(old.UpdatedAt) {
		return true, false // an answer that was long on its way: an image never loses its data
	}
	r.image, r.at, r.doubt = img, time.Now(), false
	if !reflect.DeepEqual(old, img) {
		r.news = c.turn
		c.changes++
	}
	c.images[img.ID] = r
	return true, c.listing.has(img.ID) && (old.Name != img.Name || img.Hidden)
}

// drop forgets an image that is no more. Called with mu held.
func (c *Catalog) drop(id string) {
	if r, ok := c.images[id]; ok {
		c.config.Gone(r.image)
	}
	c.changes++
	delete(c.images, id)
	delete(c.members, id)
}
