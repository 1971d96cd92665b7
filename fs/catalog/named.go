package catalog

import (
	"context"
	"slices"
	"time"

	"glancefs/glanceapi"
)

// Named returns the images that list under name: from the listing if it has
// them and is fresh, else by asking for just them, so that a new image has its
// name at once; when the service does not answer, from the listing as last
// known. Where many are asked for, the listing is brought up to date instead. Several
// are asked for unless all of them were seen of late: a listing that is brought up to
// date still has the image that was deleted to make room for another one of its name.
func (c *Catalog) Named(ctx context.Context, name string) ([]glanceapi.Image, error) {
	images, listed := c.listedAs(name, false)
	if listed && c.sure(images) {
		return images, nil
	}
	c.mu.Lock()
	known := c.best() != nil
	many := !listed && c.listing != nil && c.lone >= loneLimit && !c.listing.worn()
	c.mu.Unlock()
	if many {
		if _, err := share(ctx, c, "list", true, c.update); err != nil {
			return nil, err
		}
		if images, ok := c.listedAs(name, false); ok && c.sure(images) {
			return images, nil
		}
	}
	found, err := share(ctx, c, "name "+name, known, func() (*[]glanceapi.Image, error) { return c.askName(name) })
	if err != nil {
		return nil, err
	}
	if found != nil {
		return *found, nil
	}
	images, _ = c.listedAs(name, true)
	return images, nil
}

// sure reports whether there is no doubt that all of images still have their name: there
// is one of them, or each was seen at most refresh ago.
func (c *Catalog) sure(images []glanceapi.Image) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(images) == 1 || !slices.ContainsFunc(images, func(i glanceapi.Image) bool {
		return time.Since(c.images[i.ID].at) >= c.config.Refresh
	})
}

// listedAs returns the images that are listed under name; ok is false where there
// are none, or, but for stale, the listing is not fresh.
func (c *Catalog) listedAs(name string, stale bool) (images []glanceapi.Image, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.best()
	if l == nil || !stale && !l.fresh(c.config.Refresh) {
		return nil, false
	}
	images = c.called(name, l.names[name])
	return images, len(images) > 0
}

// askName fetches the images of one name. The name is compared here too: a
// server that does not know the filter answers with everything. Those that were
// listed under it and are not found are asked for, as they may be no more, and are
// listed no more.
func (c *Catalog) askName(name string) (*[]glanceapi.Image, error) {
	var found []glanceapi.Image
	start := time.Now()
	c.mu.Lock()
	c.lone++
	c.mu.Unlock()
	for page, err := range c.config.Service.Images(c.ctx, glanceapi.Query{Name: name}) {
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		alike := slices.DeleteFunc(page.Images, func(i glanceapi.Image) bool { return i.Name != name || i.Hidden })
		some := c.called(name, c.keepAll(alike, start))
		c.list(some)
		found = append(found, some...)
		c.mu.Unlock()
	}
	var unlisted []string
	for _, id := range c.missing(name, found, start) {
		if img, err := c.Ask(c.ctx, id); err == nil && img.Name == name && !img.Hidden {
			unlisted = append(unlisted, id)
		}
	}
	c.unlist(unlisted, start)
	return &found, nil
}

// list puts images that the service lists into the listing, so that those who ask next
// are told of them too: some have come to be listed without having changed, as those
// that others have shared. Called with mu held.
func (c *Catalog) list(images []glanceapi.Image) {
	if c.listing == nil {
		return
	}
	var first []string
	for _, i := range images {
		if !c.listing.has(i.ID) {
			first = append(first, i.ID)
		}
	}
	if len(first) > 0 {
		c.adopt(c.listing.walk.amended(first, nil))
	}
}

// unlist takes images out of the listing that are there and were not listed when that
// was asked for at a time: those of the community, or that were shared and are not
// accepted any more. No reading of changes tells of them.
func (c *Catalog) unlist(ids []string, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := make(map[string]bool)
	for _, id := range ids {
		gone[id] = c.listing.has(id) && !c.images[id].own.After(asked)
	}
	if len(gone) > 0 {
		c.relist(c.listing.walk.amended(nil, gone))
	}
}

// missing returns the ids of some images, if there are any, that are listed under name
// and are not among those found by asking at a time.
func (c *Catalog) missing(name string, found []glanceapi.Image, asked time.Time) (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listing == nil {
		return nil
	}
	for _, id := range c.listing.names[name] {
		there := slices.ContainsFunc(found, func(i glanceapi.Image) bool { return i.ID == id })
		if !there && !c.images[id].own.After(asked) && len(ids) < loneLimit {
			ids = append(ids, id)
		}
	}
	return ids
}

// ByName returns the listed images by their names.
func (c *Catalog) ByName(ctx context.Context) (map[string][]glanceapi.Image, error) {
	w, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.Wait(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.best()
	names := make(map[string][]glanceapi.Image, len(l.names))
	for name, ids := range l.names {
		if images := c.called(name, ids); len(images) > 0 {
			names[name] = images
		}
	}
	return names, nil
}

// called returns the records of those of ids that have a name and are not hidden: a
// listing that is being brought up to date may still have others. Called with mu held.
func (c *Catalog) called(name string, ids []string) []glanceapi.Image {
	return slices.DeleteFunc(c.recorded(ids), func(i glanceapi.Image) bool { return i.Name != name || i.Hidden })
}

// recorded returns the records of ids. Called with mu held.
func (c *Catalog) recorded(ids []string) []glanceapi.Image {
	images := make([]glanceapi.Image, 0, len(ids))
	for _, id := range ids {
		if r, ok := c.images[id]; ok {
			images = append(images, r.image)
		}
	}
	return images
}
