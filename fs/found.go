package fs

import (
	"context"
	iofs "io/fs"

	"glancefs/fs/catalog"
	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// An unlisted is a view that lists nothing, because there is no end to it, and makes a
// directory of every name that means something.
type unlisted func(ctx context.Context, name string) (child, error)

func (unlisted) list(context.Context) (entries, error) { return array(nil), nil }

func (u unlisted) lookup(ctx context.Context, name string) (child, error) { return u(ctx, name) }

// foundLink is a link in a directory of images that were found somehow. It is the
// same one in all of them.
func (t *tree) foundLink(id string) *link {
	return &link{node: node{t: t}, kind: "found", id: id, trust: t.refresh, deep: true}
}

// found makes a directory of images that were found somehow.
func (t *tree) found(kind, of string, v view) *dir {
	return &dir{node: node{t: t}, is: identity{kind, of}, refresh: t.refresh, changed: t.since, view: v}
}

// queryIdentity is that of query/. An expression in it may be longer than a file name,
// because nothing lists it.
var queryIdentity = identity{"top", "query"}

// queries is the view of query/: what can be asked is a directory.
func (t *tree) queries() unlisted {
	return func(_ context.Context, expr string) (child, error) {
		q, err := metadata.ParseQuery(expr)
		if err != nil {
			t.edits.reasons.set("query", err)
			t.log.Info("query/"+expr, "err", err)
			return nil, err
		}
		return t.found("query", expr, queryView{t, expr, q}), nil
	}
}

// queryView shows the images that a query selects, in its order.
type queryView struct {
	t     *tree
	expr  string
	query glanceapi.Query
}

func (v queryView) list(ctx context.Context) (entries, error) {
	w := v.t.catalog.Find(ctx, v.expr, v.query)
	return walkEntries{w, "found"}, v.t.catalog.Begin(ctx, w)
}

func (v queryView) lookup(ctx context.Context, id string) (child, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, v.t.catalog.Needing(), catalog.ErrSlow)
	defer cancel()
	ok, err := v.t.catalog.Find(ctx, v.expr, v.query).Search(ctx, id)
	return v.t.foundIf(ok, err, id)
}

// foundIf is the link to an image that was found.
func (t *tree) foundIf(ok bool, err error, id string) (child, error) {
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, iofs.ErrNotExist
	}
	return t.foundLink(id), nil
}

// projects is the view of by-member/: every project is a directory.
func (t *tree) projects() unlisted {
	return func(_ context.Context, entry string) (child, error) {
		project, ok := unescapeName(entry)
		if !ok {
			return nil, iofs.ErrNotExist
		}
		return t.found("by-member", entry, projectView{t, project}), nil
	}
}

// projectView shows the images that are shared with a project.
type projectView struct {
	t       *tree
	project string
}

func (v projectView) list(ctx context.Context) (entries, error) {
	w := v.t.catalog.SharedWith(ctx, v.project)
	return walkEntries{w, "found"}, v.t.catalog.Begin(ctx, w)
}

func (v projectView) lookup(ctx context.Context, id string) (child, error) {
	ok, err := v.t.catalog.IsSharedWith(ctx, id, v.project)
	return v.t.foundIf(ok, err, id)
}
