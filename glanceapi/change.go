package glanceapi

import (
	"context"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
)

// A Change is what is to become different in an image's record. Nil fields and
// properties that are not named stay as they are. "" removes a name, an owner
// or a format.
type Change struct {
	Name            *string
	Visibility      *string
	Owner           *string // only an administrator may change it
	DiskFormat      *string // of a queued image only
	ContainerFormat *string // of a queued image only
	Protected       *bool
	Hidden          *bool
	MinDisk         *int64 // GiB
	MinRAM          *int64 // MiB
	Tags            *[]string

	Set   map[string]string // properties that get a value
	Unset []string          // properties that go, if they are there
}

// IsZero reports whether nothing is to become different.
func (ch Change) IsZero() bool { return reflect.ValueOf(ch).IsZero() }

// Update changes an image and returns it as it is then, all of the Change or
// nothing. Nothing of the record but what the Change names is lost on v2;
// the service has no check for other writers, so those of one field overwrite
// each other. What the service does not take is fs.ErrInvalid, what the caller
// may not do fs.ErrPermission, a field the version of the API lacks
// errors.ErrUnsupported.
func (c *Client) Update(ctx context.Context, id string, ch Change) (Image, error) {
	if !validID(id) {
		return Image{}, fmt.Errorf("image %q: %w", id, fs.ErrNotExist)
	}
	if err := ch.check(); err != nil {
		return Image{}, err
	}
	if ch.empty() {
		return c.Image(ctx, id)
	}
	return c.api.update(ctx, id, ch)
}

func (ch *Change) empty() bool {
	return ch.Name == nil && ch.Visibility == nil && ch.Owner == nil && ch.DiskFormat == nil && ch.ContainerFormat == nil &&
		ch.Protected == nil && ch.Hidden == nil && ch.MinDisk == nil && ch.MinRAM == nil && ch.Tags == nil && len(ch.Set) == 0 && len(ch.Unset) == 0
}

func (ch *Change) check() error {
	var all []string
	for _, s := range []*string{ch.Name, ch.Visibility, ch.Owner, ch.DiskFormat, ch.ContainerFormat} {
		if s != nil {
			all = append(all, *s)
		}
	}
	if ch.Tags != nil {
		all = append(all, *ch.Tags...)
	}
	for k, v := range ch.Set {
		all = append(all, k, v)
		if slices.Contains(ch.Unset, k) {
			return invalid("property %q both set and removed", k)
		}
	}
	return checkUTF8(append(all, ch.Unset...)...)
}
