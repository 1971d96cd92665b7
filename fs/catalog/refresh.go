package catalog

import (
	"context"
	"time"
)

// Refresh has the service asked anew for everything before it is believed again,
// and returns when the listing, if there is one, has been read from start to end, or
// when ctx ends. What is known is kept for as long as the service does not answer.
func (c *Catalog) Refresh(ctx context.Context) {
	c.mu.Lock()
	for id, r := range c.images {
		r.at = time.Time{}
		c.images[id] = r
	}
	for id, l := range c.members {
		c.members[id] = memberList{members: l.members}
	}
	listed := c.listing != nil
	if listed {
		l := *c.listing
		l.full, l.synced = time.Time{}, time.Time{}
		c.listing = &l
	}
	c.mu.Unlock()
	if !listed {
		return
	}
	select {
	case <-c.readAnew():
	case <-ctx.Done():
	}
}
