package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"glancefs/fs/disk"
	"glancefs/fs/publish"
	"glancefs/glanceapi"
)

const (
	// undoLimit is how long the end of an upload may take to remove what it
	// has begun at the service; what is not removed then is tidied up later.
	undoLimit = 5 * time.Second
	// tidySoon and tidyEvery are how soon that is tried again, first and later.
	tidySoon  = 500 * time.Millisecond
	tidyEvery = 5 * time.Second
)

// undo removes an image that came to nothing, now or later.
func (in *incoming) undo(r *publish.Attempt) {
	in.mu.Lock()
	left := in.left
	in.mu.Unlock()
	if left {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.ctx), undoLimit)
	defer cancel()
	err := in.publisher.Unmake(ctx, r)
	if err != nil && !errors.Is(err, publish.ErrMayCome) {
		in.t.log.Warn("the image service has an unfinished image, which will be removed later", "image", r.Image, "err", err)
	}
	if err != nil {
		in.later(r)
	}
}

// later has attempts settled in the background.
func (in *incoming) later(all ...*publish.Attempt) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.unsettled = append(in.unsettled, all...)
	if in.tidying || in.stopped || len(in.unsettled) == 0 {
		return
	}
	in.tidying = true
	in.work.Go(in.tidy)
}

// settled forgets an attempt that is settled.
func (in *incoming) settled(r *publish.Attempt) {
	r.Forget()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.unsettled = slices.DeleteFunc(in.unsettled, func(o *publish.Attempt) bool { return o == r })
}

// settle removes what earlier uploads of a draft have left at the service.
func (in *incoming) settle(ctx context.Context, d *draft) error {
	in.mu.Lock()
	all := slices.Clone(in.unsettled)
	in.mu.Unlock()
	for _, r := range all {
		if r.Draft != d.id {
			continue
		}
		err := in.publisher.Unmake(ctx, r)
		if errors.Is(err, publish.ErrMayCome) {
			continue // that is for tidy to wait for
		}
		if err != nil {
			return err
		}
		in.settled(r)
	}
	return nil
}

// tidy settles attempts until none is left.
func (in *incoming) tidy() {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = tidySoon, tidyEvery
	for {
		in.mu.Lock()
		all := slices.Clone(in.unsettled)
		if len(all) == 0 {
			in.tidying = false
			in.mu.Unlock()
			return
		}
		in.mu.Unlock()
		left := 0
		for _, r := range all {
			if err := in.resolve(in.tidyCtx, r); err != nil {
				left++
				continue
			}
			in.settled(r)
		}
		if left == 0 {
			continue
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-in.tidyCtx.Done():
			return
		}
	}
}

// resolve finds out what became of an image whose upload was cut off, and ends
// it: an image that is whole, and is what its draft is to become, takes the
// draft's place; one that is not is removed.
func (in *incoming) resolve(ctx context.Context, r *publish.Attempt) error {
	img, err := in.t.service.Image(ctx, r.Image)
	if errors.Is(err, iofs.ErrNotExist) && r.MayCome() {
		return publish.ErrMayCome
	}
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d := in.draftOf(r.Draft)
	if d != nil && img.Status == "active" && d.known().Tried == r.Image {
		return in.recover(d, r)
	}
	if d != nil && d.uploading() {
		return errBusy // it settles what was before it by itself
	}
	if r.State == publish.Right {
		return nil
	}
	return in.publisher.Unmake(ctx, r)
}

// recover gives a draft's place to an image that was made of it, if that is so.
func (in *incoming) recover(d *draft, r *publish.Attempt) error {
	name, _ := unescapeName(r.As)
	var undone error
	u, err := in.begin(d, &upload{name: name, looks: true}, func(ctx context.Context, u *upload, s *publish.Spool) (glanceapi.Image, error) {
		u.stage.Store(stageChecking)
		img, err := in.publisher.Compare(ctx, r.Image, s)
		switch {
		case err == nil:
			u.attempt = r
			return img, r.Become(publish.Right)
		case errors.Is(err, disk.ErrDamaged) && r.State != publish.Right:
			undone = in.publisher.Unmake(ctx, r)
		case errors.Is(err, publish.ErrNotSent) && r.State != publish.Right:
			undone, err = in.publisher.Unmake(ctx, r), errInterrupted
		case errors.Is(err, publish.ErrNotSent), errors.Is(err, iofs.ErrNotExist):
			err = errInterrupted
		}
		return glanceapi.Image{}, err
	})
	if err != nil {
		return err
	}
	<-u.done
	if u.err == nil || isOneOf(u.err, errInterrupted, disk.ErrDamaged) {
		return undone
	}
	return u.err
}

// draftOf finds a draft by its id.
func (in *incoming) draftOf(id string) *draft {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, d := range in.named {
		if d.id == id {
			return d
		}
	}
	return nil
}

// errInterrupted is the reason of a draft whose upload was cut off by the end of
// glancefs.
var errInterrupted = errors.New("the upload was interrupted by the end of glancefs")
