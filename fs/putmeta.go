package fs

import (
	"context"
	"fmt"
	iofs "io/fs"

	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// putMeta makes an image what a meta.json says that a process has written.
func (t *tree) putMeta(ctx context.Context, id string, by process, text []byte) error {
	d, err := metadata.Parse(text)
	if err != nil {
		return err
	}
	return t.alter(ctx, id, func(ctx context.Context) error {
		ch, err := t.changeBy(ctx, id, by, d)
		if err != nil {
			return err
		}
		if err := t.update(ctx, id, ch); err != nil {
			return err
		}
		t.edits.readings.add(reading{of: id, by: by, wrote: true, text: text})
		return nil
	})
}

// changeBy returns what a process that has written d wants to be different. With
// a stamp, d is compared with what it was made of, which may be old by now;
// without one it is meant as it is.
func (t *tree) changeBy(ctx context.Context, id string, by process, d metadata.Document) (ch glanceapi.Change, err error) {
	_, stamped := d["updated_at"]
	now, err := t.current(ctx, id, !stamped)
	if err != nil {
		return ch, err
	}
	base, sure := now, true
	if stamped {
		base, sure = t.edits.readings.base(id, by, d, now)
	}
	if base == nil {
		if now, err = t.current(ctx, id, true); err != nil {
			return ch, err
		}
		if base = now; !metadata.Same(now["updated_at"], d["updated_at"]) {
			return ch, errStale
		}
	}
	ch, err = d.Since(base)
	if err == nil && !sure && ch.IsZero() && !d.Agrees(now) {
		err = errStale // it is an old version as it was: to have it again, or by mistake
	}
	return ch, err
}

// errStale is of a meta.json that says of itself that it is old, where that is all
// that is known of it.
var errStale = fmt.Errorf("the image has changed since the updated_at that is given; read it again, or leave updated_at out: %w", iofs.ErrInvalid)

// current returns an image's meta.json as it is at present, asking for it where
// it has to be sure.
func (t *tree) current(ctx context.Context, id string, sure bool) (metadata.Document, error) {
	img, err := t.catalog.Image(ctx, id)
	if sure {
		img, err = t.catalog.Ask(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	text, err := metadata.Encode(t.describe(img))
	if err != nil {
		return nil, err
	}
	return metadata.Parse(text)
}

// update sends a change of an image, if it is one. Called within alter.
func (t *tree) update(ctx context.Context, id string, ch glanceapi.Change) error {
	if ch.IsZero() {
		return nil
	}
	old, _ := t.catalog.Known(id)
	img, err := t.service.Update(ctx, id, ch)
	if err != nil {
		t.catalog.Doubt(id)
		return err
	}
	t.catalog.Made(img)
	if old.Name != img.Name || old.Hidden != img.Hidden {
		t.renamed(old, img)
	}
	t.staleFound(id)
	return nil
}

// renamed tells the kernel of the names of images that mean something else now.
func (t *tree) renamed(images ...glanceapi.Image) {
	for _, img := range images {
		if img.ID == "" {
			continue // of which nothing was known
		}
		t.stale("by-name", uniqueEntry(img))
		t.staleName(img.Name)
	}
}
