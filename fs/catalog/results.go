package catalog

import (
	"context"
	"slices"
	"time"

	"glancefs/glanceapi"
)

const (
	// maxResults and maxFound bound what is kept of answers: to how many
	// questions, and how many images they name together. Who reads one has it as
	// long as that takes.
	maxResults = 64
	maxFound   = 1 << 18
)

// A result is the images that the service names in answer to a question, in its
// order. It may still grow.
type result struct {
	question string
	walk     *Walk
	before   *Walk     // the last one that came to its end, for as long as this has not; or nil
	at       time.Time // when it was asked
}

// result returns the answer to a question, for which find asks, as it was at
// most refresh ago, or as last known when the service does not answer. Whoever
// comes while it is asked for is given the last one, too, and does not wait for
// one that may never come: a listing is followed by a lookup of each name in it.
func (c *Catalog) result(ctx context.Context, question string, find func(context.Context, *Walk) error) *Walk {
	c.mu.Lock()
	r := c.takeResult(question)
	if r == nil || r.walk.ended() && time.Since(r.at) >= c.config.Refresh {
		old := r
		r = &result{question: question, walk: newWalk(), at: time.Now()}
		if old != nil {
			r.before = old.walk
		}
		go c.fill(r, old, find)
	}
	c.results = append(c.results, r)
	before := r.before
	c.mu.Unlock()
	if before != nil && !c.answers(ctx, r.walk) {
		return before
	}
	return r.walk
}

// Begin returns when a walk has something to show, or has ended, and fails when the
// service answers nothing meanwhile. A walk alone does not tell: a query that the
// service does not sort has many answers before its first image.
func (c *Catalog) Begin(ctx context.Context, w *Walk) error {
	for !w.Ready(0) {
		limit := c.Needing()
		switch {
		case limit == 0:
			return ErrSlow
		case limit == sickLimit:
			limit = minPatience // and then for as long as it takes to find out
		default:
			limit = sickLimit
		}
		wait, cancel := context.WithTimeout(ctx, limit)
		_, _, _ = w.At(wait, 0) // how it has ended is for the reader to see
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if w.Ready(0) {
			return nil
		}
		_, err := shareFor(ctx, c, sickLimit, "anything", false, func() (*struct{}, error) {
			for _, err := range c.config.Service.Images(c.ctx, glanceapi.Query{Limit: 1}) {
				return nil, err
			}
			return nil, nil
		})
		if err != nil && !isRefusal(err) && !w.Ready(0) {
			return err
		}
	}
	return nil
}

// takeResult takes the answer to a question out of those that are kept, and
// returns it; nil if there is none. Called with mu held.
func (c *Catalog) takeResult(question string) *result {
	i := slices.IndexFunc(c.results, func(r *result) bool { return r.question == question })
	if i < 0 {
		return nil
	}
	r := c.results[i]
	c.results = slices.Delete(c.results, i, i+1)
	return r
}

// fill asks for r. If that fails it gives way to the one before it, old.
func (c *Catalog) fill(r, old *result, find func(context.Context, *Walk) error) {
	err := find(c.ctx, r.walk)
	c.note(err)
	r.walk.finish(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.before = nil
	if i := slices.Index(c.results, r); err != nil && i >= 0 {
		c.results = slices.Delete(c.results, i, i+1)
		if old != nil {
			c.results = append(c.results, old)
		}
	}
	found := 0
	for i, r := range slices.Backward(c.results) {
		if found += r.walk.len(); found > maxFound || len(c.results)-i > maxResults {
			c.results = slices.Delete(c.results, 0, i+1)
			break
		}
	}
}

// forgetResults forgets all answers, because of what was done here. Called with
// mu held.
func (c *Catalog) forgetResults() { c.results = nil }

// Find returns the images that q selects.
func (c *Catalog) Find(ctx context.Context, question string, q glanceapi.Query) *Walk {
	return c.result(ctx, question, func(ctx context.Context, w *Walk) error {
		start := time.Now()
		for page, err := range c.config.Service.Images(ctx, q) {
			if err != nil {
				return err
			}
			c.mu.Lock()
			kept := c.keepAll(page.Images, start)
			c.mu.Unlock()
			w.add(kept...)
		}
		return nil
	})
}

// SharedWith returns the images that are shared with a project.
func (c *Catalog) SharedWith(ctx context.Context, project string) *Walk {
	return c.result(ctx, "shared with "+project, func(ctx context.Context, w *Walk) error {
		images, err := c.config.Service.MemberImages(ctx, project)
		for _, m := range images {
			w.add(m.ID)
		}
		return err
	})
}

// IsSharedWith reports whether an image is shared with a project, by the answer to
// that or, where there is none, by the image alone. While the service does not
// answer, the last answer counts however old it is.
func (c *Catalog) IsSharedWith(ctx context.Context, id, project string) (bool, error) {
	if c.foundShared(id, project) {
		return true, nil
	}
	if _, err := c.Image(ctx, id); err != nil {
		return false, err
	}
	members, err := c.Members(ctx, id)
	return slices.ContainsFunc(members, func(m glanceapi.Member) bool { return m.ID == project }), err
}

// foundShared reports whether the answer to what is shared with a project has an
// image, and is to be believed.
func (c *Catalog) foundShared(id, project string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.results, func(r *result) bool { return r.question == "shared with "+project })
	if i < 0 {
		return false
	}
	r := c.results[i]
	if !c.late && time.Since(r.at) >= c.config.Refresh {
		return false
	}
	return r.walk.has(id) || r.before != nil && r.before.has(id)
}
