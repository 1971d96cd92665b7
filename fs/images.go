package fs

import (
	"context"
	iofs "io/fs"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// fixed is a view of names that are always there.
type fixed []struct {
	name string
	make func() child
}

func (f fixed) list(context.Context) (entries, error) {
	var a array
	for _, e := range f {
		s := e.make().stable()
		a = append(a, fuse.DirEntry{Name: e.name, Mode: s.Mode, Ino: s.Ino})
	}
	return a, nil
}

func (f fixed) lookup(_ context.Context, name string) (child, error) {
	for _, e := range f {
		if e.name == name {
			return e.make(), nil
		}
	}
	return nil, iofs.ErrNotExist
}

// root is the top of the tree. Its number is the one the kernel expects.
func (t *tree) root() *dir {
	return &dir{node: node{t: t}, id: fuse.FUSE_ROOT_ID, refresh: forever, changed: t.since, view: fixed{
		{"images", func() child { return t.dir("images", imagesView{t}) }},
		{"by-name", func() child { return t.dir("by-name", byNameView{t}) }},
		{"incoming", func() child { return t.incomingDir() }},
		{".glancefs", func() child { return t.dir(".glancefs", t.about()) }},
	}}
}

// forever is how long the kernel may rely on what never changes.
const forever = 24 * time.Hour

// since is the mtime of what came with the mount.
func (t *tree) since() time.Time { return t.started }

// dir makes a directory of the top level.
func (t *tree) dir(name string, v view) *dir {
	return &dir{node: node{t: t}, id: nodeID("top", name), refresh: forever, changed: t.since, view: v}
}

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
	return fuse.DirEntry{Name: id, Mode: syscall.S_IFDIR, Ino: nodeID("image", id)}, ok, err
}

// image makes the directory of one image.
func (t *tree) image(id string) *imageDir {
	d := &imageDir{id: id}
	d.dir = dir{
		node: node{t: t}, id: nodeID("image", id), refresh: t.catalog.refresh, changed: t.changed(id),
		view: fixed{
			{"data", func() child { return &imageData{node: node{t: t}, id: id} }},
			{"meta.json", func() child { return t.meta(id) }},
			{"members", func() child { return t.members(id) }},
			{"members.json", func() child { return t.memberFile(id) }},
		},
	}
	return d
}

// An imageDir is the directory of one image, which bears its fields as
// extended attributes.
type imageDir struct {
	dir
	id string
}
