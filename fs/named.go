package fs

import (
	"context"

	"glancefs/glanceapi"
)

// named returns the images that list under name: from the listing if it has
// them and is fresh, else by asking for just them, so that a new image has its
// name at once; when the service does not answer, from the listing as last
// known.
func (c *catalog) named(ctx context.Context, name string) ([]glanceapi.Image, error) {
	c.mu.Lock()
	l := c.best()
	there := l.fresh(c.refresh) && len(l.names[name]) > 0
	c.mu.Unlock()
	if !there {
		found, err := share(ctx, c, "name "+name, l != nil, func() (*[]glanceapi.Image, error) { return c.askName(name) })
		if err != nil {
			return nil, err
		}
		if found != nil {
			return *found, nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recorded(l.names[name]), nil
}

// askName fetches the images of one name. The name is compared here too: a
// server that does not know the filter answers with everything.
func (c *catalog) askName(name string) (*[]glanceapi.Image, error) {
	var found []glanceapi.Image
	for page, err := range c.service.Images(c.ctx, glanceapi.Query{Name: name}) {
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		for _, img := range page.Images {
			if img.Name == name && !img.Hidden {
				c.keep(img)
				found = append(found, img)
			}
		}
		c.mu.Unlock()
	}
	return &found, nil
}

// byName returns the listed images by their names.
func (c *catalog) byName(ctx context.Context) (map[string][]glanceapi.Image, error) {
	w, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.wait(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.best()
	names := make(map[string][]glanceapi.Image, len(l.names))
	for name, ids := range l.names {
		names[name] = c.recorded(ids)
	}
	return names, nil
}

// recorded returns the records of ids. Called with mu held.
func (c *catalog) recorded(ids []string) []glanceapi.Image {
	images := make([]glanceapi.Image, 0, len(ids))
	for _, id := range ids {
		if r, ok := c.images[id]; ok {
			images = append(images, r.image)
		}
	}
	return images
}
