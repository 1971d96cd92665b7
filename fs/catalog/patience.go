package catalog

import (
	"context"
	"errors"
	iofs "io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// A caller with an answer in hand, if a stale one, waits for a better one four
	// times as long as such answers have taken of late, within these bounds. The lower
	// one, which is enough for a service nearby, keeps all that the caller does
	// below 100 ms. A request that takes longer than the upper one tells that the
	// service does not answer.
	minPatience = 60 * time.Millisecond
	maxPatience = time.Second
	// Once a caller has waited in vain, and until there is an answer, the service
	// is waited for by one caller in so long; the others with an answer in hand
	// get that at once.
	probeEvery = time.Second
	// Callers without one are told soon that the service does not answer: the
	// kernel holds the directory's lock for them. Once one has waited in vain, those
	// who come within vainFor are told at once, until there is an answer.
	sickLimit  = 2 * time.Second
	firstLimit = 10 * time.Second // while nothing is known against the service
	vainFor    = 3 * time.Second
	// leftEvery is how often it is asked whether a caller whose context has ended has
	// left.
	leftEvery = 100 * time.Millisecond
)

// share runs do once for all who ask for the same key at the same time, and
// returns its answer. A caller who has one already, stale as it may be, waits
// for its patience only, and gets nil instead of an error that does not say
// that the thing is gone.
func share[T any](ctx context.Context, c *Catalog, key string, known bool, do func() (*T, error)) (*T, error) {
	wait := c.Needing()
	if known {
		wait = c.patience(key)
	}
	return shareFor(ctx, c, wait, key, known, do)
}

// shareFor is share with another patience.
func shareFor[T any](ctx context.Context, c *Catalog, wait time.Duration, key string, known bool, do func() (*T, error)) (*T, error) {
	switch {
	case wait == 0 && known:
		return nil, nil
	case wait == 0:
		return nil, ErrSlow
	}
	result := c.flights.DoChan(key, func() (any, error) {
		slow := time.AfterFunc(maxPatience, func() { c.note(ErrSlow) })
		begun := time.Now()
		v, err := do()
		slow.Stop()
		c.took(key, time.Since(begun), err)
		c.note(err)
		return v, err
	})
	enough := time.NewTimer(wait)
	defer enough.Stop()
	interrupted := ctx.Done()
	var look <-chan time.Time
	for {
		select {
		case r := <-result:
			if known && r.Err != nil && !errors.Is(r.Err, iofs.ErrNotExist) {
				return nil, nil
			}
			return r.Val.(*T), r.Err
		case <-enough.C:
			if known {
				c.waited()
				return nil, nil
			}
			c.note(ErrSlow)
			c.waitedInVain()
			return nil, ErrSlow
		case <-interrupted:
			interrupted, look = nil, time.After(0)
		case <-look:
			if c.config.Left(ctx) {
				return nil, context.Canceled
			}
			look = time.After(leftEvery)
		}
	}
}

// ErrSlow is what a caller gets who has no answer in hand, and has waited for as long
// as callers do.
var ErrSlow = errors.New("the image service does not answer")

// Answers tells whether the service has answered what it was asked last.
func (c *Catalog) Answers() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.sick
}

// note records how a request ended, or that it takes too long. A refusal is an
// answer, and so is health. What ends with the mount says nothing.
func (c *Catalog) note(err error) {
	if c.ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := err != nil && !isRefusal(err)
	switch {
	case failed && !c.sick:
		c.probed = time.Now() // so that nobody waits at once again
		c.config.Log.Warn("image service does not answer; what is known is served", "err", err)
	case !failed && c.sick:
		c.config.Log.Info("image service answers again")
	}
	c.sick, c.late = failed, failed
}

// A pace is how long answers have taken of late, by what is asked for, which is
// the first word of a key: a page of a listing takes longer than an image.
type pace map[string]time.Duration

func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, " ")
	return kind
}

// usual is how long an answer takes. What was never asked for takes as long as what
// takes least.
func (p pace) usual(key string) (d time.Duration, ever bool) {
	d, ok := p[kindOf(key)]
	if ok || len(p) == 0 {
		return d, ok
	}
	return slices.Min(slices.Collect(maps.Values(p))), true
}

// took takes in how long one took. One that ends an outage says little of what is
// usual, and neither does the first of its kind, which may be of all there is; a
// service that has become slower says it again.
func (p pace) took(key string, d time.Duration) {
	kind := kindOf(key)
	last, ok := p[kind]
	usual, ever := p.usual(key)
	switch {
	case !ok && ever:
		p[kind] = min(d, usual)
	case !ok:
		p[kind] = d
	case d < last:
		p[kind] -= (last - d) / 2
	default:
		p[kind] += (min(d, 2*last+minPatience/4) - last) / 4
	}
}

// took records how long an answer took.
func (c *Catalog) took(key string, d time.Duration, err error) {
	if err != nil && !isRefusal(err) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace.took(key, d)
}

// waited records that a caller has waited in vain.
func (c *Catalog) waited() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late, c.probed = true, time.Now()
}

// waitedInVain records that a caller without an answer has got none.
func (c *Catalog) waitedInVain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vain = time.Now()
}

// isRefusal reports whether err is an answer all the same.
func isRefusal(err error) bool {
	return slices.ContainsFunc([]error{iofs.ErrNotExist, iofs.ErrPermission, iofs.ErrInvalid, errors.ErrUnsupported},
		func(answer error) bool { return errors.Is(err, answer) })
}

// patience is how long a caller with an answer in hand waits for a newer one; 0 is
// for those who are not to ask at all.
func (c *Catalog) patience(key string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	usual, ever := c.pace.usual(key)
	switch {
	case !c.late && !ever:
		return maxPatience
	case !c.late:
		return min(maxPatience, max(minPatience, 4*usual))
	case time.Since(c.probed) < probeEvery:
		return 0
	}
	c.probed = time.Now()
	return minPatience
}

// Needing is how long a caller without an answer waits for one; 0 is for those who
// are not to ask at all.
func (c *Catalog) Needing() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.sick:
		return firstLimit
	case time.Since(c.vain) < vainFor:
		return 0
	}
	return sickLimit
}
