package glanceapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Images walks the images q selects, a page at a time, and asks for no more
// pages than it needs. Images that come or go during the walk may or may not be
// seen; when the last image of a page is deleted before the next page is asked
// for, the walk starts over and images are seen again. Sorted by updated_at, an
// image changed during the walk may be missed. Where the service does not sort
// as q wants, everything is read before the one Page that comes of it. The walk
// ends with the first error, which comes with a zero Page.
func (c *Client) Images(ctx context.Context, q Query) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		err := q.check()
		if err == nil && c.api.sorts(q) {
			err = c.stream(ctx, q, yield)
		} else if err == nil {
			err = c.sort(ctx, q, yield)
		}
		if err != nil {
			yield(Page{}, err)
		}
	}
}

// stream yields pages as they come.
func (c *Client) stream(ctx context.Context, q Query, yield func(Page, error) bool) error {
	left := q.Limit
	return walk(ctx, c.api, q, func(p Page) bool {
		p = c.fit(p, q)
		if q.Limit == 0 {
			return yield(p, nil)
		}
		p.Images = p.Images[:min(left, len(p.Images))]
		left -= len(p.Images)
		return yield(p, nil) && left > 0
	})
}

// sort yields one page of everything, in order. Images that a walk that started
// over has seen twice are in it once, as they were seen last.
func (c *Client) sort(ctx context.Context, q Query, yield func(Page, error) bool) error {
	var all Page
	at := map[string]int{}
	err := walk(ctx, c.api, q, func(p Page) bool {
		if all.Date.IsZero() {
			all.Date = p.Date
		}
		for _, i := range c.fit(p, q).Images {
			if n, ok := at[i.ID]; ok {
				all.Images[n] = i
				continue
			}
			at[i.ID] = len(all.Images)
			all.Images = append(all.Images, i)
		}
		return true
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all.Images, func(a, b Image) int { return q.compare(&a, &b) })
	if q.Limit > 0 && len(all.Images) > q.Limit {
		all.Images = slices.Clip(all.Images[:q.Limit])
	}
	yield(all, nil)
	return nil
}

// errMarkerLost says that the image a page was to start behind is no more, or
// no longer the caller's to see.
var errMarkerLost = errors.New("the listing's marker is gone")

// maxRestarts bounds how often one walk starts over. Each time takes a deletion
// between two requests, so a walk that meets more is not going to end well.
const maxRestarts = 10

// walk calls each with page after page until it returns false.
func walk(ctx context.Context, r reader, q Query, each func(Page) bool) error {
	marker, trail, restarts := "", newTrail(), 0
	for {
		p, next, err := r.page(ctx, q, marker)
		if errors.Is(err, errMarkerLost) && restarts < maxRestarts {
			marker, trail, restarts = "", newTrail(), restarts+1
			continue
		}
		if err != nil {
			return err
		}
		weight := p.weight() // before each, which may change the page
		if !each(p) || next == "" {
			return nil
		}
		if err := trail.add(weight, next); err != nil {
			return err
		}
		marker = next
	}
}

// fit removes images that q did not ask for, and those whose ids cannot be used
// in a path, with one warning a page.
func (c *Client) fit(p Page, q Query) Page {
	unusable, first := 0, ""
	p.Images = slices.DeleteFunc(p.Images, func(i Image) bool {
		if !validID(i.ID) {
			if unusable++; unusable == 1 {
				first = fmt.Sprintf("%.80q", i.ID)
			}
			return true
		}
		return !q.selects(&i)
	})
	if unusable > 0 {
		c.conn.log.Warn("images with unusable ids left out of the list", "count", unusable, "first", first)
	}
	return p
}

// maxID is room for a UUID, with or without dashes, and for names some
// operators give.
const maxID = 64

// validID tells whether id is safe in a URL path and as a file name: letters,
// digits, and behind the first also - and _. Every id a release of the image
// service makes is one: a UUID, in the first releases a number.
func validID(id string) bool {
	if id == "" || len(id) > maxID || id[0] == '-' || id[0] == '_' {
		return false
	}
	for i := range len(id) {
		b := id[i]
		if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '-' || b == '_') {
			return false
		}
	}
	return true
}
