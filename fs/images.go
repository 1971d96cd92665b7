package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// imagesView shows the service's images by id. It lists what the service
// lists, and resolves what it shows, which is more.
type imagesView struct{ t *tree }

func (v imagesView) list(ctx context.Context) (entries, error) {
	w, err := v.t.catalog.list(ctx)
	if err != nil {
		return nil, err
	}
	return imageEntries{w}, nil
}

func (v imagesView) lookup(ctx context.Context, id string) (child, error) {
	if _, err := v.t.catalog.image(ctx, id); err != nil {
		return nil, err
	}
	return v.t.image(id), nil
}

// imageEntries are the images of a walk as entries of images/.
type imageEntries struct{ *walk }

func (e imageEntries) at(ctx context.Context, i int) (fuse.DirEntry, bool, error) {
	id, ok, err := e.walk.at(ctx, i)
	return identity{"image", id}.entry(id), ok, err
}

// An imagesDir is images/, where images can be deleted.
type imagesDir struct{ dir }

func (t *tree) images() *imagesDir {
	d := &imagesDir{*t.dir("images", imagesView{t})}
	d.writable = true
	return d
}

var (
	_ = (gofs.NodeRmdirer)((*imagesDir)(nil))
)

// Rmdir deletes an image, where that is allowed.
func (d *imagesDir) Rmdir(ctx context.Context, id string) syscall.Errno {
	return d.t.told("image/"+id, "delete image "+id, d.t.remove(ctx, id))
}

// errNoDelete is of what a mount must be made for.
var errNoDelete = fmt.Errorf("%w without --allow-delete", errReadOnly)

// remove deletes an image. It is gone from everywhere at once.
func (t *tree) remove(ctx context.Context, id string) error {
	img, err := t.catalog.image(ctx, id)
	if err != nil {
		return err
	}
	if !t.allowDelete {
		return errNoDelete
	}
	return t.alter(ctx, id, func(ctx context.Context) error {
		err := t.service.Delete(ctx, id)
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			t.catalog.doubt(id)
			return err
		}
		t.catalog.deleted(id)
		t.incoming.imageGone(id)
		t.renamed(img)
		t.staleBelow("query", id)
		t.staleBelow("by-member", id)
		t.log.Info("image deleted", "name", img.Name, "image", id)
		return err
	})
}
