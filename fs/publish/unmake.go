package publish

import (
	"context"
	"errors"
	iofs "io/fs"

	"glancefs/glanceapi"
)

// ErrMayCome is of an image that is not there and may be yet to come.
var ErrMayCome = errors.New("an image may be made yet")

// Unmake removes an image that came to nothing, and forgets its attempt. It returns an
// error if that has to be tried again, which is ErrMayCome while there is no image yet.
func (p *Publisher) Unmake(ctx context.Context, r *Attempt) error {
	if r.Image == "" { // the service was to choose an id, and we do not know it
		r.Forget()
		return nil
	}
	if r.Given && r.State == Asked {
		// The id was not ours to choose, so the image may not be ours to remove.
		img, err := p.service.Image(ctx, r.Image)
		switch {
		case err != nil && !errors.Is(err, iofs.ErrNotExist):
			return err
		case err != nil && r.MayCome():
			return ErrMayCome
		case err != nil || img.Status != "queued":
			r.Forget()
			return nil
		}
	}
	if spared, err := p.spares(ctx, r); err != nil || spared {
		return err
	}
	err := p.service.Delete(ctx, r.Image)
	if errors.Is(err, iofs.ErrNotExist) && r.MayCome() {
		return ErrMayCome
	}
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		if glanceapi.Temporary(err) || glanceapi.Unauthorized(err) || ctx.Err() != nil {
			return err
		}
		p.log.Error("the image service does not remove an unfinished image", "image", r.Image, "err", err)
	}
	r.Forget()
	return nil
}

// spares reports whether the image of an attempt is left alone: in a copied directory,
// one that is whole by now. The copy may be older than that, and glancefs, where it was
// made, may have found the image to be right. Such an attempt is forgotten.
func (p *Publisher) spares(ctx context.Context, r *Attempt) (bool, error) {
	if !r.copied {
		return false, nil
	}
	img, err := p.service.Image(ctx, r.Image)
	if errors.Is(err, iofs.ErrNotExist) {
		err = nil
	}
	if err != nil || img.Status != "active" {
		return false, err
	}
	p.log.Warn("an image is kept whose upload a copied cache directory tells to have been cut off", "image", r.Image)
	r.Forget()
	return true, nil
}
