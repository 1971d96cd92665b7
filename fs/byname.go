package fs

import (
	"context"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/glanceapi"
)

// byNameView shows the listed images by name: NAME where one image bears it,
// NAME@ID for each where several do. NAME@ID resolves for every image.
type byNameView struct{ t *tree }

func (v byNameView) list(ctx context.Context) (entries, error) {
	names, err := v.t.catalog.ByName(ctx)
	if err != nil {
		return nil, err
	}
	var a array
	suffix := v.t.idSuffix()
	for name, images := range names {
		entry, ok := plainEntry(name, suffix)
		for _, img := range images {
			if !ok || len(images) > 1 {
				entry = uniqueEntry(img)
			}
			a = append(a, identity{"by-name", img.ID}.entry(entry))
		}
	}
	slices.SortFunc(a, func(x, y fuse.DirEntry) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}

func (v byNameView) lookup(ctx context.Context, entry string) (child, error) {
	if id, ok := splitUnique(entry, v.t.idSuffix()); ok {
		img, err := v.t.catalog.Image(ctx, id)
		if err != nil {
			return nil, err
		}
		if img.Hidden || uniqueEntry(img) != entry {
			return nil, iofs.ErrNotExist
		}
		return v.t.link(img), nil
	}
	name, ok := unescapeName(entry)
	if !ok || name == "" {
		return nil, iofs.ErrNotExist
	}
	images, err := v.t.catalog.Named(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case len(images) == 0:
		return nil, iofs.ErrNotExist
	case len(images) > 1:
		return nil, errAmbiguous
	}
	return v.t.link(images[0]), nil
}

// A link is a symbolic link to an image's directory, or to what is in it. The
// kernel keeps what a link points to for as long as it knows the node, so a link
// is the node of what it points to: a name that comes to mean another image
// becomes another node.
type link struct {
	node
	kind  string // the directory the link is in
	id    string // of the image
	path  string // within the image's directory
	deep  bool   // the link is one directory further down
	trust time.Duration
}

func (t *tree) link(img glanceapi.Image) *link {
	return t.linkTo(img.ID)
}

func (t *tree) linkTo(id string) *link {
	return &link{node: node{t: t}, kind: "by-name", id: id, trust: t.refresh}
}

func (l *link) identity() identity { return identity{l.kind, l.id + l.path} }

func (l *link) life() (entry, attr time.Duration) { return l.trust, l.trust }

func (l *link) target() string {
	if l.deep {
		return "../../images/" + l.id + l.path
	}
	return "../images/" + l.id + l.path
}

func (l *link) stat(_ context.Context, a *fuse.Attr) error {
	l.t.own(a, syscall.S_IFLNK|0o777, l.t.changed(l.id)())
	sized(a, int64(len(l.target())), 0)
	return nil
}

var (
	_ = (gofs.NodeGetattrer)((*link)(nil))
	_ = (gofs.NodeReadlinker)((*link)(nil))
)

// Getattr answers lstat.
func (l *link) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return l.t.getattr(ctx, l, out)
}

// Readlink answers readlink.
func (l *link) Readlink(context.Context) ([]byte, syscall.Errno) { return []byte(l.target()), 0 }
