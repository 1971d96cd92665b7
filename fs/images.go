package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/fs/catalog"
)

// imagesView shows the service's images by id. It lists what the service
// lists, and resolves what it shows, which is more.
type imagesView struct{ t *tree }

func (v imagesView) list(ctx context.Context) (entries, error) {
	w, err := v.t.catalog.List(ctx)
	if err != nil {
		return nil, err
	}
	return walkEntries{w, "image"}, nil
}

func (v imagesView) lookup(ctx context.Context, id string) (child, error) {
	if _, err := v.t.catalog.Image(ctx, id); err != nil {
		return nil, err
	}
	return v.t.image(id), nil
}

// walkEntries are the images of a walk as entries of some kind.
type walkEntries struct {
	walk *catalog.Walk
	kind string
}

func (e walkEntries) at(ctx context.Context, i int) (fuse.DirEntry, bool, error) {
	id, ok, err := e.walk.At(ctx, i)
	return identity{e.kind, id}.entry(id), ok, err
}

func (e walkEntries) ready(i int) bool { return e.walk.Ready(i) }

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
	img, err := t.catalog.Image(ctx, id)
	if errors.Is(err, iofs.ErrNotExist) {
		t.incoming.imageGone(id) // a process before this one may have deleted it, and come no further
	}
	if err != nil {
		return err
	}
	if !t.allowDelete {
		return errNoDelete
	}
	return t.alter(ctx, id, func(ctx context.Context) error {
		err := t.service.Delete(ctx, id)
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			t.catalog.Doubt(id)
			return err
		}
		t.catalog.Deleted(id)
		t.incoming.imageGone(id)
		t.renamed(img)
		t.staleFound(id)
		t.log.Info("image deleted", "name", img.Name, "image", id)
		return err
	})
}
