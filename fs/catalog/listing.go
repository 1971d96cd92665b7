package catalog

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"

	"glancefs/glanceapi"
)

const (
	// fullEvery is how often a listing in use is read anew from start to end,
	// which alone shows what was deleted, hidden or newly shared.
	fullEvery = 10 * time.Minute
	// clockSlack is taken off the service's clock when it is asked for what
	// has changed: an image is stamped some time before it can be seen.
	clockSlack = 2 * time.Second
	// firstPage is the key of the pace at which a reading begins.
	firstPage = "page"
)

// A listing is a whole walk and how true it is. It is never changed, only
// replaced. The nil listing has no image and is never fresh.
type listing struct {
	walk   *Walk
	names  map[string][]string // ids by name
	full   time.Time           // when it was last read from start to end
	synced time.Time           // when it was last known to be true
	clock  time.Time           // the service's clock then
	turn   uint32              // of the catalog then
}

func (l *listing) has(id string) bool { return l != nil && l.walk.seen[id] }

func (l *listing) fresh(refresh time.Duration) bool {
	return l != nil && time.Since(l.synced) < refresh
}

// worn reports whether l is due for a reading from start to end.
func (l *listing) worn() bool { return time.Since(l.full) >= fullEvery }

// List returns the listing of all images. The first one may still be growing, and
// fails when the service answers nothing; later ones are as true as at most refresh
// ago, or as last known when the service does not answer.
func (c *Catalog) List(ctx context.Context) (*Walk, error) {
	c.mu.Lock()
	l := c.listing
	if l == nil {
		if c.first == nil {
			c.first = newWalk()
			go c.read(c.first)
		}
		w, saved := c.first, c.saved
		c.mu.Unlock()
		if saved != nil && !c.answers(ctx, w) {
			return saved.walk, nil
		}
		return w, c.Begin(ctx, w)
	}
	c.mu.Unlock()
	if !l.fresh(c.config.Refresh) {
		if _, err := share(ctx, c, "list", true, c.update); err != nil {
			return nil, err
		}
		c.mu.Lock()
		l = c.listing
		c.mu.Unlock()
	}
	return l.walk, nil
}

// answers reports whether a walk gets anywhere while a caller who has an older one
// has patience.
func (c *Catalog) answers(ctx context.Context, w *Walk) bool {
	wait, cancel := context.WithTimeout(ctx, c.patience(firstPage))
	defer cancel()
	_, _, err := w.At(wait, 0)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		c.waited()
	}
	return err == nil
}

// read fills w with everything the service lists, and makes it the listing if
// it ends well. A first walk that fails is forgotten, so that the next caller
// tries again.
func (c *Catalog) read(w *Walk) {
	start := time.Now()
	var clock time.Time
	for page, err := range c.config.Service.Images(c.ctx, glanceapi.Query{}) {
		if err != nil {
			c.note(err)
			c.mu.Lock()
			if c.first == w {
				c.first = nil
			}
			c.mu.Unlock()
			w.finish(err)
			return
		}
		if clock.IsZero() {
			clock = pageClock(page, time.Since(start))
			c.took(firstPage, time.Since(start), nil)
		}
		ids := make([]string, 0, len(page.Images))
		c.mu.Lock()
		for _, img := range page.Images {
			if ok, _ := c.record(img, start); ok && !c.images[img.ID].image.Hidden {
				ids = append(ids, img.ID)
			}
		}
		c.mu.Unlock()
		w.add(ids...)
	}
	c.note(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	w.finish(nil)
	c.adopt(c.settled(w, start))
	c.listing.full, c.listing.synced, c.listing.clock = start, start, clock
	c.first, c.lone = nil, 0
	c.turned()
}

// pageClock is the service's clock when it was asked for the page, or else the latest
// time it has stamped on an image of it. A page is dated when it is sent, which is how
// long it took, at most, after its images were looked up.
func pageClock(p glanceapi.Page, took time.Duration) (clock time.Time) {
	if !p.Date.IsZero() {
		return p.Date.Add(-took)
	}
	for _, img := range p.Images {
		if img.UpdatedAt.After(clock) {
			clock = img.UpdatedAt
		}
	}
	return clock
}

// update brings the listing up to date: with one request when little or
// nothing has changed. When it is worn it is read anew in the background,
// which nobody waits for; but when something was done here that only such a
// reading shows, it is worth waiting for.
func (c *Catalog) update() (*struct{}, error) {
	c.mu.Lock()
	old := c.listing
	c.mu.Unlock()
	if old.fresh(c.config.Refresh) {
		return nil, nil
	}
	switch {
	case old.full.IsZero():
		<-c.readAnew()
		return nil, nil
	case old.worn(), old.clock.IsZero():
		c.readAnew()
	}
	if old.clock.IsZero() {
		return nil, nil // an empty listing of a service that tells no time
	}
	d := delta{start: time.Now(), gone: make(map[string]bool)}
	for page, err := range c.config.Service.Images(c.ctx, glanceapi.Query{UpdatedSince: old.clock.Add(-clockSlack), Sort: "updated_at"}) {
		if err != nil {
			return nil, err
		}
		if !c.merge(&d, page) {
			break // sorted by change: what follows is older, and known
		}
	}
	c.take(&d, old)
	for _, name := range c.rivaled() {
		_, _ = c.askName(name)
	}
	return nil, nil
}

// take brings the listing, which was old when d was asked for, up to date.
func (c *Catalog) take(d *delta, old *listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listing.full != old.full {
		return // read anew meanwhile; that is as true as this
	}
	if d.changed {
		c.adopt(c.listing.walk.amended(d.first, d.gone))
	}
	l := *c.listing
	l.synced = d.start
	if d.clock.After(l.clock) {
		l.clock = d.clock
	}
	c.listing, c.lone = &l, 0
	c.turned()
}

// turned minds that the listing has just been made or brought up to date, so that
// what is new from now on is known from what it has. Called with mu held.
func (c *Catalog) turned() {
	c.listing.turn = c.turn
	c.turn++
}

// readAnew reads the listing from start to end, once for all who want that. The
// channel has a value when that is done.
func (c *Catalog) readAnew() <-chan singleflight.Result {
	return c.flights.DoChan("full", func() (any, error) {
		c.read(newWalk())
		return nil, nil
	})
}

// A delta is what has changed since a listing was true.
type delta struct {
	start   time.Time       // when it was asked for
	first   []string        // new ids, newest first
	gone    map[string]bool // ids that list no more
	changed bool
	clock   time.Time // the service's, when it began to tell
}

// merge takes a page into d, and reports whether any of it is news since the listing
// was true, whoever was told first: of what has changed before that nobody may have
// been told yet. The listing is amended when all of d is known.
func (c *Catalog) merge(d *delta, page glanceapi.Page) (news bool) {
	if d.clock.IsZero() {
		d.clock = pageClock(page, time.Since(d.start))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, img := range page.Images {
		if ok, _ := c.record(img, d.start); !ok {
			continue
		}
		r := c.images[img.ID]
		img = r.image
		if r.news > c.listing.turn {
			news = true
			c.rival(img, d.start)
		}
		if img.Hidden {
			d.gone[img.ID] = true
		} else if !c.listing.has(img.ID) {
			d.first = append(d.first, img.ID)
			news = true
		}
	}
	d.changed = d.changed || news
	return news
}

// adopt makes a whole walk the listing; images of the old one, or else of that of an
// earlier mount, that are not in it are forgotten, but for those that there is another
// reason for. Called with mu held.
func (c *Catalog) adopt(w *Walk) {
	if old := c.best(); old != nil {
		for _, id := range old.walk.ids {
			if r := c.images[id].image; !w.seen[id] && !r.Hidden && r.Visibility != "community" {
				c.drop(id)
			}
		}
	}
	c.relist(w)
}

// relist makes a whole walk the listing. Called with mu held.
func (c *Catalog) relist(w *Walk) {
	c.changes++
	l := c.listingOf(w)
	if c.listing != nil {
		l.full, l.synced, l.clock, l.turn = c.listing.full, c.listing.synced, c.listing.clock, c.listing.turn
	}
	c.listing, c.saved = l, nil
}

// listingOf makes a listing of a whole walk. Called with mu held.
func (c *Catalog) listingOf(w *Walk) *listing {
	l := &listing{walk: w, names: make(map[string][]string, len(w.ids))}
	for _, id := range w.ids {
		if r, ok := c.images[id]; ok {
			l.names[r.image.Name] = append(l.names[r.image.Name], id)
		}
	}
	return l
}
