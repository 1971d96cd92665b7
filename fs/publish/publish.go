// Package publish makes images of files: it makes an image at the service, finds out
// what became of it, and takes back what came to nothing, also after a crash. What file
// that is, who waits for it and when it is tried again is not its business.
package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"slices"
	"time"

	"glancefs/cache"
	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// sender is what sending an image takes of the image service.
type sender interface {
	// TakesUUIDs tells whether the id of a new image may be chosen.
	TakesUUIDs() bool
	Create(ctx context.Context, n glanceapi.NewImage) (glanceapi.Image, error)
	Upload(ctx context.Context, id string, data io.ReaderAt, size int64, o glanceapi.UploadOptions) error
	Update(ctx context.Context, id string, ch glanceapi.Change) (glanceapi.Image, error)
}

// settler is what finding out what became of one takes.
type settler interface {
	Endpoint() string
	Image(ctx context.Context, id string) (glanceapi.Image, error)
	Delete(ctx context.Context, id string) error
}

// A Service is the image service as a Publisher uses it.
type Service interface {
	sender
	settler
}

// A Publisher makes images at one service, and keeps what has to be known of them after
// a crash in a directory.
type Publisher struct {
	service Service
	dir     string // of attempts
	log     *slog.Logger
}

// New makes a Publisher that keeps its attempts in dir, which is there.
func New(service Service, dir string, log *slog.Logger) *Publisher {
	return &Publisher{service, dir, log}
}

// ErrNotSent is the end of an upload after which the service has other bytes
// than it was sent.
var ErrNotSent = errors.New("the image service has other data than it was sent")

// Reserve makes an image without data at the service, never a protected one, and an
// Attempt of it, which r is the beginning of: Draft and As. An id that is asked for and
// taken is io/fs.ErrExist. An Attempt that is returned beside an error has to be unmade;
// where none is returned nothing was done.
func (p *Publisher) Reserve(ctx context.Context, w *metadata.Wish, r Attempt) (*Attempt, glanceapi.Image, error) {
	n := w.NewImage
	n.Protected = false // until it is right: a protected one could not be removed
	if r.Given = n.ID != ""; r.Given {
		_, err := p.service.Image(ctx, n.ID)
		if err == nil {
			err = fmt.Errorf("image %s: %w", n.ID, iofs.ErrExist)
		}
		if !errors.Is(err, iofs.ErrNotExist) {
			return nil, glanceapi.Image{}, err
		}
	} else if p.service.TakesUUIDs() {
		n.ID = NewUUID()
	}
	r.Endpoint, r.Image = p.service.Endpoint(), n.ID
	kept, err := newAttempt(p.dir, r)
	if err != nil {
		return nil, glanceapi.Image{}, err
	}
	img, err := p.makeImage(ctx, w, n, r.Given)
	if refused(err) {
		kept.Forget()
		return nil, glanceapi.Image{}, err
	}
	if err == nil {
		kept.Image = img.ID
		err = kept.Become(Made)
	}
	return kept, img, err
}

// makeImage makes the image of Reserve. given says that its id, if it has one, is not ours.
func (p *Publisher) makeImage(ctx context.Context, w *metadata.Wish, n glanceapi.NewImage, given bool) (glanceapi.Image, error) {
	img, err := p.service.Create(ctx, n)
	if w.Guessed("luks") && errors.Is(err, iofs.ErrInvalid) {
		n.DiskFormat = "raw" // few services know luks; to the others it is a raw disk
		img, err = p.service.Create(ctx, n)
	}
	if given || n.ID == "" || !errors.Is(err, iofs.ErrExist) {
		return img, err
	}
	// Nobody else has the id: a proxy has sent the request twice, and lost the first answer.
	made, unseen := p.service.Image(ctx, n.ID)
	if errors.Is(unseen, iofs.ErrNotExist) {
		return img, err
	}
	return made, unseen
}

// refused reports whether err says for certain that nothing was done.
func refused(err error) bool {
	certain := []error{iofs.ErrExist, iofs.ErrInvalid, iofs.ErrPermission, glanceapi.ErrTooLarge}
	return slices.ContainsFunc(certain, func(one error) bool { return errors.Is(err, one) })
}

// Send sends the data of an image that has none. progress, which may be called at any
// time until then, is told how many bytes were sent.
func (p *Publisher) Send(ctx context.Context, id, store string, s *Spool, progress func(int64)) error {
	return p.service.Upload(ctx, id, s, s.Size, glanceapi.UploadOptions{Store: store, Progress: progress})
}

// Protect protects an image, which is the last that is done to it.
func (p *Publisher) Protect(ctx context.Context, id string) (glanceapi.Image, error) {
	return p.service.Update(ctx, id, glanceapi.Change{Protected: new(true)})
}

// Compare waits for an image that has been sent to be active, and compares its size and
// hash with what was sent: ErrNotSent, or disk.ErrDamaged if that is not what was written.
func (p *Publisher) Compare(ctx context.Context, id string, s *Spool) (glanceapi.Image, error) {
	img, err := p.active(ctx, id)
	if err != nil {
		return glanceapi.Image{}, err
	}
	if img.Size != s.Size {
		return img, fmt.Errorf("image %s has %d bytes of %d: %w", id, img.Size, s.Size, ErrNotSent)
	}
	want := metadata.DigestOf(img)
	if want == (cache.Digest{}) {
		return img, s.Finish(ctx) // the first releases have no checksums
	}
	differs, err := s.matches(ctx, want)
	if err == nil && differs != nil {
		err = fmt.Errorf("image %s has the %s %s: %w", id, want.Algo, want.Value, ErrNotSent)
	}
	return img, err
}

const (
	// activePause is how often an image that is about to become active is asked
	// for, and activeLimit how long: the service has said that it has the data.
	activePause = 500 * time.Millisecond
	activeLimit = time.Minute
	// lagLimit is how long it may still be queued then: of several service processes
	// one may read a copy of the database that the upload is not in yet.
	lagLimit = 5 * time.Second
)

// active returns an image that has its data when the service has put that where
// it belongs.
func (p *Publisher) active(ctx context.Context, id string) (glanceapi.Image, error) {
	for begun := time.Now(); ; {
		img, err := p.service.Image(ctx, id)
		limit := activeLimit
		if img.Status == "queued" {
			limit = lagLimit
		}
		switch {
		case err != nil:
			return glanceapi.Image{}, err
		case img.Status == "active":
			return img, nil
		case !slices.Contains([]string{"queued", "saving", "importing"}, img.Status) || time.Since(begun) > limit:
			return img, fmt.Errorf("image %s is %s after it was sent: %w", id, img.Status, ErrNotSent)
		}
		select {
		case <-time.After(activePause):
		case <-ctx.Done():
			return img, context.Cause(ctx)
		}
	}
}
