package fs

import (
	"context"
	iofs "io/fs"
	"time"
)

// fixed is a view of names that are always there.
type fixed []struct {
	name string
	make func() child
}

func (f fixed) list(context.Context) (entries, error) {
	var a array
	for _, e := range f {
		a = append(a, e.make().identity().entry(e.name))
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
	return &dir{node: node{t: t}, is: rootIdentity, refresh: forever, changed: t.since, view: fixed{
		{"images", func() child { return t.images() }},
		{"by-name", func() child { return t.dir("by-name", byNameView{t}) }},
		{"by-member", func() child { return t.dir("by-member", t.projects()) }},
		{"query", func() child { return t.dir("query", t.queries()) }},
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
	return &dir{node: node{t: t}, is: identity{"top", name}, refresh: forever, changed: t.since, file: name, view: v}
}
