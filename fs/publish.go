package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"time"

	"glancefs/cache"
	"glancefs/fs/diskformat"
	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// errNotSent is the end of an upload after which the service has other bytes
// than it was sent.
var errNotSent = errors.New("the image service has other data than it was sent")

// publish makes a new image of a draft. Nothing of it is left at the service
// unless all of it is there, and right.
func (in *incoming) publish(ctx context.Context, d *draft, u *upload, s *spool) (glanceapi.Image, error) {
	w, err := in.wanted(d, u.name, s)
	if err != nil {
		return glanceapi.Image{}, err
	}
	if err := in.fits(ctx, w, s); err != nil {
		return glanceapi.Image{}, err
	}
	if err := in.slots.Acquire(ctx, 1); err != nil {
		return glanceapi.Image{}, err
	}
	defer in.slots.Release(1)
	if err := in.settle(ctx, d); err != nil {
		return glanceapi.Image{}, fmt.Errorf("an earlier upload of the draft is not settled: %w", err)
	}
	r, img, err := in.reserve(ctx, w, attempt{Draft: d.id, As: escapeName(u.name)})
	if err != nil {
		return glanceapi.Image{}, err
	}
	u.attempt = r
	err = d.tell(func(a *about) { a.Tried = r.Image })
	if err == nil {
		img, err = in.send(ctx, r.Image, w.Store, u, s)
	}
	if err == nil && w.Protected {
		img, err = in.t.service.Update(ctx, r.Image, glanceapi.Change{Protected: &w.Protected})
	}
	if err == nil {
		err = r.become(attemptRight)
	}
	if err != nil {
		in.undo(r)
		return glanceapi.Image{}, err
	}
	return img, nil
}

// wanted puts together what is asked for of the image of a draft: its name and
// its bytes, the file of metadata, and the attributes, which come last because
// they are the nearest to it.
func (in *incoming) wanted(d *draft, name string, s *spool) (*metadata.Wish, error) {
	w, err := in.wishFor(name)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", name, sidecarSuffix, err)
	}
	for key, value := range d.known().Attrs {
		if err := w.SetAttr(key, value); err != nil {
			return nil, err
		}
	}
	if err := w.Check(); err != nil {
		return nil, err
	}
	f, err := diskformat.Sniff(s.file, s.size)
	if err != nil {
		return nil, err
	}
	w.Settle(name, f)
	return w, nil
}

// fits compares the data with what was said of it beforehand, if anything was.
func (in *incoming) fits(ctx context.Context, w *metadata.Wish, s *spool) error {
	if w.Size != nil && *w.Size != s.size {
		return fmt.Errorf("size should be %d and is %d: %w", *w.Size, s.size, iofs.ErrInvalid)
	}
	differs, err := s.matches(ctx, w.Digests()...)
	if err == nil && differs != nil {
		err = fmt.Errorf("%s should be %s and is not: %w", differs.Algo, differs.Value, iofs.ErrInvalid)
	}
	return err
}

// reserve makes an image without data at the service, and an attempt of it, which
// r is the beginning of.
func (in *incoming) reserve(ctx context.Context, w *metadata.Wish, r attempt) (*attempt, glanceapi.Image, error) {
	n := w.NewImage
	n.Protected = false // until it is right: a protected one could not be removed
	if r.Given = n.ID != ""; r.Given {
		_, err := in.t.service.Image(ctx, n.ID)
		if err == nil {
			err = fmt.Errorf("image %s: %w", n.ID, iofs.ErrExist)
		}
		if !errors.Is(err, iofs.ErrNotExist) {
			return nil, glanceapi.Image{}, err
		}
	} else if in.t.service.TakesUUIDs() {
		n.ID = newUUID()
	}
	r.Endpoint, r.Image = in.t.service.Endpoint(), n.ID
	kept, err := newAttempt(in.dir, r)
	if err != nil {
		return nil, glanceapi.Image{}, err
	}
	img, err := in.makeImage(ctx, w, n, r.Given)
	if refused(err) {
		kept.forget()
		return nil, glanceapi.Image{}, err
	}
	if err == nil {
		kept.Image = img.ID
		err = kept.become(attemptMade)
	}
	if err != nil {
		in.undo(kept)
		return nil, glanceapi.Image{}, err
	}
	return kept, img, nil
}

// makeImage makes the image of reserve. given says that its id, if it has one, is not ours.
func (in *incoming) makeImage(ctx context.Context, w *metadata.Wish, n glanceapi.NewImage, given bool) (glanceapi.Image, error) {
	img, err := in.t.service.Create(ctx, n)
	if w.Guessed("luks") && errors.Is(err, iofs.ErrInvalid) {
		n.DiskFormat = "raw" // few services know luks; to the others it is a raw disk
		img, err = in.t.service.Create(ctx, n)
	}
	if given || n.ID == "" || !errors.Is(err, iofs.ErrExist) {
		return img, err
	}
	// Nobody else has the id: a proxy has sent the request twice, and lost the first answer.
	made, unseen := in.t.service.Image(ctx, n.ID)
	if errors.Is(unseen, iofs.ErrNotExist) {
		return img, err
	}
	return made, unseen
}

// refused reports whether err says for certain that nothing was done.
func refused(err error) bool {
	return isOneOf(err, iofs.ErrExist, iofs.ErrInvalid, iofs.ErrPermission, glanceapi.ErrTooLarge)
}

// mkdir makes an image without data, and a link to it.
func (in *incoming) mkdir(ctx context.Context, name string) (glanceapi.Image, error) {
	if _, _, there := in.find(name); there {
		return glanceapi.Image{}, iofs.ErrExist
	}
	if isHidden(name) || isSidecar(name) {
		return glanceapi.Image{}, fmt.Errorf("%s is no name for an image: %w", name, iofs.ErrInvalid)
	}
	w, err := in.wishFor(name)
	if err != nil {
		return glanceapi.Image{}, err
	}
	w.Settle(name, diskformat.Format{})
	var img glanceapi.Image
	err = in.apart(ctx, func(ctx context.Context) (err error) {
		r, made, err := in.reserve(ctx, w, attempt{})
		img = made
		if err == nil && w.Protected {
			img, err = in.t.service.Update(ctx, r.Image, glanceapi.Change{Protected: &w.Protected})
			if err != nil {
				in.undo(r)
			}
		}
		if err == nil {
			r.forget()
		}
		return err
	})
	if err != nil {
		return glanceapi.Image{}, err
	}
	in.t.catalog.Made(img)
	in.mu.Lock()
	in.links[name] = linked{image: img.ID}
	in.keepLink(name)
	in.changed = time.Now()
	in.mu.Unlock()
	in.t.staleName(img.Name)
	return img, nil
}

// apart runs do under the mount's context, because a request's must not outlive
// the request, and ends it when whoever is behind the request leaves.
func (in *incoming) apart(ctx context.Context, do func(context.Context) error) error {
	own, cancel := context.WithCancelCause(in.ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = do(own)
	}()
	if left := await(ctx, done); left != nil {
		cancel(left)
		<-done
	}
	return err
}

// send sends the data of a queued image, and compares what the service then has.
func (in *incoming) send(ctx context.Context, id, store string, u *upload, s *spool) (glanceapi.Image, error) {
	u.stage.Store(stageUploading)
	err := in.t.service.Upload(ctx, id, s, s.size, glanceapi.UploadOptions{Store: store, Progress: u.sent.Store})
	if err != nil {
		return glanceapi.Image{}, err
	}
	u.stage.Store(stageChecking)
	return in.compare(ctx, id, s)
}

// compare waits for an image that has been sent to be active, and compares.
func (in *incoming) compare(ctx context.Context, id string, s *spool) (glanceapi.Image, error) {
	img, err := in.active(ctx, id)
	if err != nil {
		return glanceapi.Image{}, err
	}
	if img.Size != s.size {
		return img, fmt.Errorf("image %s has %d bytes of %d: %w", id, img.Size, s.size, errNotSent)
	}
	want := metadata.DigestOf(img)
	if want == (cache.Digest{}) {
		return img, s.finish(ctx) // the first releases have no checksums
	}
	differs, err := s.matches(ctx, want)
	if err == nil && differs != nil {
		err = fmt.Errorf("image %s has the %s %s: %w", id, want.Algo, want.Value, errNotSent)
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
func (in *incoming) active(ctx context.Context, id string) (glanceapi.Image, error) {
	for begun := time.Now(); ; {
		img, err := in.t.service.Image(ctx, id)
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
			return img, fmt.Errorf("image %s is %s after it was sent: %w", id, img.Status, errNotSent)
		}
		select {
		case <-time.After(activePause):
		case <-ctx.Done():
			return img, context.Cause(ctx)
		}
	}
}
