package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"time"

	"glancefs/fs/publish"
	"glancefs/glanceapi"
)

// filler returns the draft of the data of a queued image, if there is one.
func (in *incoming) filler(image string) *draft {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.filling[image]
}

// fill returns the draft of a queued image's data, and makes it if there is none.
func (in *incoming) fill(image string) (*draft, error) {
	if d := in.filler(image); d != nil {
		return d, nil
	}
	d, f, err := createDraft(in.dir, about{Image: image, Endpoint: in.t.service.Endpoint()})
	if err != nil {
		return nil, err
	}
	f.Close()
	in.mu.Lock()
	defer in.mu.Unlock()
	if there := in.filling[image]; there != nil { // another opened it at the same time
		d.erase()
		return there, nil
	}
	in.filling[image] = d
	return d, nil
}

// leaveOut removes the draft of a queued image's data that nobody has open and
// nobody has changed.
func (in *incoming) leaveOut(d *draft) {
	in.mu.Lock()
	d.mu.Lock()
	image := d.about.Image
	unused := image != "" && in.filling[image] == d && d.writers == 0 && !d.changed && d.changeable() == nil
	if unused {
		delete(in.filling, image)
		d.removed = true // who has found it and is about to open it sees that; see openQueued
	}
	d.mu.Unlock()
	in.mu.Unlock()
	if unused {
		d.erase()
	}
}

// startFill sends a draft as the data of its queued image.
func (in *incoming) startFill(d *draft, u *upload) (*upload, error) {
	return in.begin(d, u, func(ctx context.Context, u *upload, s *publish.Spool) (glanceapi.Image, error) {
		image := d.known().Image
		if d.known().Tried != "" {
			if img, done, err := in.publisher.Earlier(ctx, image, s); done || err != nil {
				return img, err
			}
		}
		if err := in.slots.Acquire(ctx, 1); err != nil {
			return glanceapi.Image{}, err
		}
		defer in.slots.Release(1)
		if err := in.publisher.SetFormats(ctx, image, s); err != nil {
			return glanceapi.Image{}, err
		}
		if err := d.tell(func(a *about) { a.Tried = image }); err != nil {
			return glanceapi.Image{}, err
		}
		return in.send(ctx, image, "", u, s)
	})
}

// refill finds out what became of the data of a queued image whose upload was
// cut off by the end of an earlier mount. Where the image is queued still, or
// has other data, or is killed or no more, the draft stays; in the latter cases
// under a name of its own.
func (in *incoming) refill(image string, d *draft) {
	for {
		img, err := in.t.service.Image(in.tidyCtx, image)
		switch {
		case in.filler(image) != d: // somebody has sent it meanwhile
			return
		case err == nil && img.Status == "active":
			switch err := in.filled(d); {
			case err == nil:
				return
			case glanceapi.Temporary(err), errors.Is(err, errStopped), errors.Is(err, errBusy): // it is not known yet
			default:
				in.rescue(image, d)
				return
			}
		case errors.Is(err, iofs.ErrNotExist), err == nil && errors.Is(readable(img), errNoData):
			in.rescue(image, d)
			return
		case err == nil && img.Status == "queued":
			return
		}
		select {
		case <-time.After(tidyEvery):
		case <-in.tidyCtx.Done():
			return
		}
	}
}

// filled returns nil if an image has the data of its draft, which is then done with.
func (in *incoming) filled(d *draft) error {
	u, err := in.begin(d, &upload{looks: true}, func(ctx context.Context, u *upload, s *publish.Spool) (glanceapi.Image, error) {
		u.stage.Store(stageChecking)
		return in.publisher.Compare(ctx, d.known().Image, s)
	})
	if err != nil {
		return err
	}
	<-u.done
	return u.err
}

// takesNoMore reports whether an image is not to be filled any more by a draft whose
// upload has ended with why: it is gone, or has other data, or the upload has killed it,
// as v1 services do with an image whose data they do not get whole.
func (in *incoming) takesNoMore(image string, why error) bool {
	if isOneOf(why, glanceapi.ErrConflict, iofs.ErrNotExist) {
		return true
	}
	ctx, cancel := context.WithTimeout(in.ctx, undoLimit)
	defer cancel()
	img, err := in.t.catalog.Ask(ctx, image)
	return err == nil && errors.Is(readable(img), errNoData)
}

// rescue makes the draft of an image that is not to be filled one of incoming/,
// where it can be seen, if it is not one by now.
func (in *incoming) rescue(image string, d *draft) {
	name := ".data-of-" + image
	in.mu.Lock()
	if in.filling[image] != d {
		in.mu.Unlock()
		return
	}
	if in.named[name] != nil {
		name = "." + d.id
	}
	delete(in.filling, image)
	in.named[name] = d
	in.mu.Unlock()
	err := d.tell(func(a *about) { a.Name, a.Image, a.Endpoint, a.Tried = escapeName(name), "", "", "" })
	in.t.log.Warn("the data written for an image is kept as a draft: the image is gone, or takes no data any more", "image", image, "name", name, "err", err)
}

// imageGone takes away what leads to an image that was deleted here. What was
// written for it, and is not sent, is kept.
func (in *incoming) imageGone(image string) {
	in.mu.Lock()
	d := in.filling[image]
	for name, l := range in.links {
		if l.image == image {
			in.vacate(name)
		}
	}
	in.mu.Unlock()
	if d != nil {
		in.rescue(image, d)
	}
}
