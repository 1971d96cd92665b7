// Package catalog is what a mount knows of the service's images: it asks for what is
// wanted, shares answers, and serves what it knows while the service does not answer.
// It knows nothing of FUSE, of data or of drafts.
package catalog

import (
	"context"
	"errors"
	iofs "io/fs"
	"iter"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"glancefs/glanceapi"
)

// loneLimit is how many stale images of one listing are asked for one by
// one before the listing is brought up to date instead.
const loneLimit = 3

// lister is what the catalog needs to know of the image service's images.
type lister interface {
	Image(ctx context.Context, id string) (glanceapi.Image, error)
	Images(ctx context.Context, q glanceapi.Query) iter.Seq2[glanceapi.Page, error]
}

// sharer is what it needs to know of who they are shared with.
type sharer interface {
	Members(ctx context.Context, id string) ([]glanceapi.Member, error)
	MemberImages(ctx context.Context, project string) ([]glanceapi.MemberImage, error)
	Version() string // which tells what images can have members
}

// A Service is the image service as the catalog uses it.
type Service interface {
	lister
	sharer
}

// A Config is what a catalog is made of. All of it must be set.
type Config struct {
	Service Service
	Refresh time.Duration // how long an answer is believed
	Log     *slog.Logger
	// Gone is told of each image that is no more. It must not call the catalog.
	Gone func(glanceapi.Image)
	// Left tells of a caller whose context has ended whether it has left. One that has
	// not is still waiting for its answer, and gets it.
	Left func(ctx context.Context) bool
}

// A Catalog is what the mount knows of the service's images. It asks as little
// as it can and nothing twice within refresh: a lookup asks for that image
// only, a listing for what has changed since. Requests are shared by whoever
// waits for the same answer, and outlive those who leave.
//
// A failed request never takes away what is known; only a 404 does.
type Catalog struct {
	config  Config
	ctx     context.Context // of the mount
	flights singleflight.Group

	mu      sync.Mutex
	images  map[string]record
	members map[string]memberList
	removed map[string]time.Time // images that were deleted here, and when
	first   *Walk                // the first listing, while it grows
	listing *listing             // the last one that ended well
	saved   *listing             // of an earlier mount, for as long as there is no other
	turn    uint32               // counts the times that the listing was brought up to date
	changes int                  // of images and listing, counted
	results []*result            // answers to other questions, the last used last
	rivals  []string             // names that an image has got which others had, who may be no more
	lone    int                  // images asked for one by one since listing was synced
	sick    bool                 // the last request failed, or takes too long
	late    bool                 // sick, or a caller has waited in vain since the last answer
	probed  time.Time            // when a caller last waited for a late service
	vain    time.Time            // when a caller without an answer last did so in vain
	pace    pace
}

// record is one image and when it was last known to be so.
type record struct {
	image glanceapi.Image
	at    time.Time
	own   time.Time // when it was last changed here
	doubt bool      // it may be otherwise by now
	news  uint32    // the catalog's turn when an answer last said something new of it
}

// memberList is who one image is shared with and when that was so; at no time if
// it is not known.
type memberList struct {
	members []glanceapi.Member
	at      time.Time
	own     time.Time // when it was last changed here
}

// New makes a catalog that knows nothing yet, and asks for nothing any more when ctx
// ends.
func New(ctx context.Context, c Config) *Catalog {
	return &Catalog{
		config: c, ctx: ctx,
		images:  make(map[string]record),
		members: make(map[string]memberList),
		removed: make(map[string]time.Time),
		pace:    make(pace), turn: 1,
	}
}

// Known returns what was last known of an image, however long ago, and never
// asks.
func (c *Catalog) Known(id string) (glanceapi.Image, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.images[id]
	return r.image, ok
}

// Recall returns what was last known of an image, and asks only if that is
// nothing.
func (c *Catalog) Recall(ctx context.Context, id string) (glanceapi.Image, error) {
	if img, ok := c.Known(id); ok {
		return img, nil
	}
	return c.Image(ctx, id)
}

// Image returns an image as it was at most refresh ago, or, when the service
// does not answer, as it was last known.
func (c *Catalog) Image(ctx context.Context, id string) (glanceapi.Image, error) {
	c.mu.Lock()
	r, known := c.images[id]
	listed := known && c.listing.has(id)
	fresh := known && !r.doubt && (time.Since(r.at) < c.config.Refresh || listed && c.listing.fresh(c.config.Refresh))
	many := listed && !r.doubt && c.lone >= loneLimit && !c.listing.worn()
	c.mu.Unlock()
	if fresh {
		return r.image, nil
	}
	if many {
		if _, err := share(ctx, c, "list", true, c.update); err != nil {
			return glanceapi.Image{}, err
		}
		return c.Recall(ctx, id)
	}
	img, err := share(ctx, c, "id "+id, known, func() (*glanceapi.Image, error) {
		img, err := c.Ask(c.ctx, id)
		return &img, err
	})
	if err != nil {
		return glanceapi.Image{}, err
	}
	if img == nil {
		return r.image, nil
	}
	return *img, nil
}

// Ask fetches one image.
func (c *Catalog) Ask(ctx context.Context, id string) (glanceapi.Image, error) {
	start := time.Now()
	img, err := c.config.Service.Image(ctx, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lone++
	if errors.Is(err, iofs.ErrNotExist) && !c.images[id].own.After(start) {
		c.lose(id)
	}
	if err != nil {
		return glanceapi.Image{}, err
	}
	if !c.keep(img, start) {
		return glanceapi.Image{}, iofs.ErrNotExist
	}
	return c.images[id].image, nil
}
