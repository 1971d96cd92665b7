package fs

import (
	"context"
	"time"

	"glancefs/glanceapi"
)

// memberList returns who an image is shared with, as it was at most refresh
// ago, or, when the service does not answer, as it was last known.
func (c *catalog) memberList(ctx context.Context, id string) ([]glanceapi.Member, error) {
	c.mu.Lock()
	l, known := c.members[id]
	known = known && !l.at.IsZero()
	lone := c.alone(id)
	c.mu.Unlock()
	if lone {
		return nil, nil
	}
	if known && time.Since(l.at) < c.refresh {
		return l.members, nil
	}
	got, err := share(ctx, c, "members "+id, known, func() (*memberList, error) {
		start := time.Now()
		members, err := c.service.Members(c.ctx, id)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		l := memberList{members: members, at: time.Now(), own: c.members[id].own}
		if !l.own.After(start) {
			c.members[id] = l
		}
		return &l, nil
	})
	if err != nil {
		return nil, err
	}
	if got == nil {
		return l.members, nil
	}
	return got.members, nil
}

// knownMembers returns who an image was last known to be shared with, however
// long ago, and never asks.
func (c *catalog) knownMembers(id string) ([]glanceapi.Member, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alone(id) {
		return nil, true
	}
	l, ok := c.members[id]
	return l.members, ok && !l.at.IsZero()
}

// alone reports whether an image is known to be one that cannot have members: by the
// v2 API only shared images do. Called with mu held.
func (c *catalog) alone(id string) bool {
	v := c.images[id].image.Visibility
	return c.service.Version() != "v1" && v != "" && v != "shared"
}

// joined minds that somebody here has accepted an image that another project shares,
// which lists it at once, or has not, or no more: then the listing is read anew,
// because only the service knows for whom it lists the image all the same.
func (c *catalog) joined(id string, accepted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r, known := c.images[id]; {
	case c.listing == nil:
	case accepted && known && !r.image.Hidden && !c.listing.has(id):
		c.adopt(c.listing.walk.amended([]string{id}, nil))
	case !accepted && c.listing.has(id):
		l := *c.listing
		l.full, l.synced = time.Time{}, time.Time{}
		c.listing = &l
	}
}

// reshared forgets who an image was shared with, because that was changed here.
func (c *catalog) reshared(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetResults()
	c.members[id] = memberList{own: time.Now()}
	c.flights.Forget("members " + id) // who asks from now on is not to share an older answer
}
