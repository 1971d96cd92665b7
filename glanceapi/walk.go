package glanceapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// errMarkerLost says that the image a page was to start behind is no more, or
// no longer the caller's to see.
var errMarkerLost = errors.New("the listing's marker is gone")

// maxRestarts bounds how often one walk starts over. Each time takes a deletion
// between two requests, so a walk that meets more is not going to end well.
const maxRestarts = 10

// walk calls each with page after page until it returns false.
func (c *Client) walk(ctx context.Context, q Query, each func(Page) bool) error {
	if q.Sort != "" && q.Sort != "updated_at" {
		return fmt.Errorf("sorting images by %q: %w", q.Sort, fs.ErrInvalid)
	}
	marker, seen, restarts := "", map[string]bool{}, 0
	for {
		p, next, err := c.api.page(ctx, q, marker)
		switch {
		case errors.Is(err, errMarkerLost) && restarts < maxRestarts:
			marker, seen, restarts = "", map[string]bool{}, restarts+1
			continue
		case err != nil:
			return err
		case !each(c.fit(p, q)) || next == "":
			return nil
		case seen[next]:
			return &Error{Op: "listing images", Message: fmt.Sprintf("the service repeats itself after image %q", next)}
		}
		seen[next], marker = true, next
	}
}

// fit removes images that q did not ask for, because services compare names
// without case or ignore what they do not know, and images whose ids cannot be
// used in a path, with one warning a page.
func (c *Client) fit(p Page, q Query) Page {
	unusable, first := 0, ""
	since := q.UpdatedSince.Truncate(time.Second)
	p.Images = slices.DeleteFunc(p.Images, func(i Image) bool {
		if !validID(i.ID) {
			if unusable++; unusable == 1 {
				first = fmt.Sprintf("%.80q", i.ID)
			}
			return true
		}
		return q.Name != "" && i.Name != q.Name || !i.UpdatedAt.IsZero() && i.UpdatedAt.Before(since)
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
