package catalog

import (
	"context"
	"time"

	"glancefs/glanceapi"
)

// Members returns who an image is shared with, as it was at most refresh
// ago, or, when the service does not answer, as it was last known.
func (c *Catalog) Members(ctx context.Context, id string) ([]glanceapi.Member, error) {
	have, known, fresh := c.KnownMembers(id)
	if fresh {
		return have, nil
	}
	got, err := c.askMembers(ctx, id, known)
	if err != nil {
		return nil, err
	}
	if got == nil {
		return have, nil
	}
	return got.members, nil
}

// UpdateMembers has it known who an image is shared with, as it was at most refresh
// ago, if the service says so soon.
func (c *Catalog) UpdateMembers(ctx context.Context, id string) {
	if _, _, fresh := c.KnownMembers(id); !fresh {
		_, _ = c.askMembers(ctx, id, true)
	}
}

// askMembers asks the service who an image is shared with. It returns nil for who goes
// on without, when there is no answer.
func (c *Catalog) askMembers(ctx context.Context, id string, without bool) (*memberList, error) {
	return share(ctx, c, "members "+id, without, func() (*memberList, error) {
		start := time.Now()
		members, err := c.config.Service.Members(c.ctx, id)
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
}

// KnownMembers returns who an image was last known to be shared with, however
// long ago, and never asks. fresh is that it was so at most refresh ago.
func (c *Catalog) KnownMembers(id string) (list []glanceapi.Member, known, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alone(id) {
		return nil, true, true
	}
	l := c.members[id]
	known = !l.at.IsZero()
	return l.members, known, known && time.Since(l.at) < c.config.Refresh
}

// alone reports whether an image is known to be one that cannot have members: by the
// v2 API only shared images do. Called with mu held.
func (c *Catalog) alone(id string) bool {
	v := c.images[id].image.Visibility
	return c.config.Service.Version() != "v1" && v != "" && v != "shared"
}

// Joined minds that somebody here has accepted an image that another project shares,
// which lists it at once, or has not, or no more: then the listing is read anew,
// because only the service knows for whom it lists the image all the same.
func (c *Catalog) Joined(id string, accepted bool) {
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

// Reshared forgets who an image was shared with, because that was changed here.
func (c *Catalog) Reshared(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetResults()
	c.members[id] = memberList{own: time.Now()}
	c.flights.Forget("members " + id) // who asks from now on is not to share an older answer
}
