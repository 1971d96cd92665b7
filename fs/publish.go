package fs

import (
	"context"
	"fmt"
	iofs "io/fs"
	"time"

	"glancefs/fs/diskformat"
	"glancefs/fs/metadata"
	"glancefs/fs/publish"
	"glancefs/glanceapi"
)

// publish makes a new image of a draft. Nothing of it is left at the service
// unless all of it is there, and right.
func (in *incoming) publish(ctx context.Context, d *draft, u *upload, s *publish.Spool) (glanceapi.Image, error) {
	w, err := in.wanted(d, u.name, s)
	if err != nil {
		return glanceapi.Image{}, err
	}
	if err := s.Fits(ctx, w); err != nil {
		return glanceapi.Image{}, err
	}
	if err := in.slots.Acquire(ctx, 1); err != nil {
		return glanceapi.Image{}, err
	}
	defer in.slots.Release(1)
	if err := in.settle(ctx, d); err != nil {
		return glanceapi.Image{}, fmt.Errorf("an earlier upload of the draft is not settled: %w", err)
	}
	r, img, err := in.publisher.Reserve(ctx, w, publish.Attempt{Draft: d.id, As: escapeName(u.name)})
	if r == nil {
		return glanceapi.Image{}, err
	}
	u.attempt = r
	if err == nil {
		err = d.tell(func(a *about) { a.Tried = r.Image })
	}
	if err == nil {
		img, err = in.send(ctx, r.Image, w.Store, u, s)
	}
	if err == nil && w.Protected {
		img, err = in.publisher.Protect(ctx, r.Image)
	}
	if err == nil {
		err = r.Become(publish.Right)
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
func (in *incoming) wanted(d *draft, name string, s *publish.Spool) (*metadata.Wish, error) {
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
	f, err := s.Format()
	if err != nil {
		return nil, err
	}
	w.Settle(name, f)
	return w, nil
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
		r, made, err := in.publisher.Reserve(ctx, w, publish.Attempt{})
		if r == nil {
			return err
		}
		img = made
		if err == nil && w.Protected {
			img, err = in.publisher.Protect(ctx, r.Image)
		}
		if err != nil {
			in.undo(r)
			return err
		}
		r.Forget()
		return nil
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
func (in *incoming) send(ctx context.Context, id, store string, u *upload, s *publish.Spool) (glanceapi.Image, error) {
	u.stage.Store(stageUploading)
	if err := in.publisher.Send(ctx, id, store, s, u.sent.Store); err != nil {
		return glanceapi.Image{}, err
	}
	u.stage.Store(stageChecking)
	return in.publisher.Compare(ctx, id, s)
}
