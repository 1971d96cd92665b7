package fs

import (
	"context"
	iofs "io/fs"
	"slices"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// membersView shows who an image is shared with, one file each.
type membersView struct {
	t  *tree
	id string // of the image
}

func (v membersView) list(ctx context.Context) (entries, error) {
	members, err := v.t.catalog.Members(ctx, v.id)
	if err != nil {
		return nil, err
	}
	var a array
	for _, m := range members {
		if entry := escapeName(m.ID); entry != "" && len(entry) <= nameMax {
			a = append(a, identity{"member", v.id + "/" + entry}.entry(entry))
		}
	}
	slices.SortFunc(a, func(x, y fuse.DirEntry) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}

func (v membersView) lookup(ctx context.Context, entry string) (child, error) {
	who, ok := unescapeName(entry)
	if !ok {
		return nil, iofs.ErrNotExist
	}
	f := v.t.memberOf(v.id, who, entry)
	if _, err := f.render(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// memberOf makes the file of one member of an image.
func (t *tree) memberOf(id, who, entry string) *text {
	return t.membersText(id, identity{"member", id + "/" + entry},
		func(list []glanceapi.Member) ([]byte, error) {
			m, there := memberIn(list, who)
			if !there {
				return nil, iofs.ErrNotExist
			}
			return metadata.Encode(metadata.DescribeMember(m))
		},
		func(ctx context.Context, text []byte) error { return t.putMember(ctx, id, who, text) })
}

// memberFile makes the members.json of an image.
func (t *tree) memberFile(id string) *text {
	return t.membersText(id, identity{"members.json", id},
		func(list []glanceapi.Member) ([]byte, error) {
			all := []metadata.Member{}
			for _, m := range list {
				all = append(all, metadata.DescribeMember(m))
			}
			slices.SortFunc(all, func(x, y metadata.Member) int { return strings.Compare(x.ID, y.ID) })
			return metadata.Encode(all)
		},
		func(ctx context.Context, text []byte) error { return t.putMembers(ctx, id, text) })
}

// membersText makes a text of what encode says of those an image is shared with.
func (t *tree) membersText(id string, is identity, encode func([]glanceapi.Member) ([]byte, error), put func(context.Context, []byte) error) *text {
	return &text{
		node: node{t: t}, kind: is.kind, of: is.id,
		render: func(ctx context.Context) ([]byte, error) {
			list, err := t.catalog.Members(ctx, id)
			if err != nil {
				return nil, err
			}
			return encode(list)
		},
		size: func() int {
			list, _, _ := t.catalog.KnownMembers(id)
			b, _ := encode(list)
			return len(b)
		},
		update:  func(ctx context.Context) { t.catalog.UpdateMembers(ctx, id) },
		changed: t.changed(id),
		put:     func(ctx context.Context, _ process, text []byte) error { return put(ctx, text) },
	}
}
