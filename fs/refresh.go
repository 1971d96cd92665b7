package fs

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
)

// Refresh has the service asked anew for everything before it is believed again,
// and returns when what is listed has been read from start to end, or when ctx
// ends. What is known is kept for as long as the service does not answer.
func (m *Mount) Refresh(ctx context.Context) {
	select {
	case <-m.tree.catalog.distrust():
	case <-ctx.Done():
	}
}

// Answers tells whether the image service has answered what it was asked last.
func (m *Mount) Answers() bool { return m.tree.catalog.answering() }

func (c *catalog) answering() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.sick
}

// distrust makes nothing fresh any more, and has the listing, if there is one, read
// anew. The channel has one value when that is done, or is closed.
func (c *catalog) distrust() <-chan singleflight.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range c.images {
		r.at = time.Time{}
		c.images[id] = r
	}
	for id, l := range c.members {
		c.members[id] = memberList{members: l.members}
	}
	if c.listing == nil {
		none := make(chan singleflight.Result)
		close(none)
		return none
	}
	l := *c.listing
	l.full, l.synced = time.Time{}, time.Time{}
	c.listing = &l
	return c.flights.DoChan("full", func() (any, error) {
		c.read(newWalk())
		return nil, nil
	})
}
