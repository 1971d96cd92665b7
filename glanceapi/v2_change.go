package glanceapi

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// patchMedia is the media type of the image service's JSON patch, which is RFC
// 6902 with paths of one element and without test, move and copy.
const patchMedia = "application/openstack-images-v2.1-json-patch"

// An op is one operation of a JSON patch.
type op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// null is a value that omitempty leaves alone.
var null = json.RawMessage("null")

// update sends one patch, which the service does as a whole or not at all.
// Removing what is not there is refused by the service; it may be gone because
// an earlier try, whose answer was lost, removed it, and it is what was wanted.
func (v v2) update(ctx context.Context, id string, ch Change) (Image, error) {
	i, err := v.patch(ctx, id, ch)
	e, conflict := refused(err, http.StatusConflict)
	if !conflict || len(ch.Unset) == 0 || !strings.Contains(e.Message, "does not exist") {
		return i, err
	}
	now, nerr := v.image(ctx, id)
	if nerr != nil {
		return Image{}, nerr
	}
	ch.Unset = slices.DeleteFunc(slices.Clone(ch.Unset), func(k string) bool { _, ok := now.Properties[k]; return !ok })
	if ch.empty() {
		return now, nil
	}
	return v.patch(ctx, id, ch)
}

func (v v2) patch(ctx context.Context, id string, ch Change) (Image, error) {
	ops, err := patchOps(ch)
	if err != nil {
		return Image{}, err
	}
	doc, err := json.Marshal(ops)
	if err != nil {
		return Image{}, err
	}
	path := "/v2/images/" + id
	b, _, _, err := v.repeat(ctx, v.sending(http.MethodPatch, path, patchMedia, doc, http.StatusOK))
	if err != nil {
		return Image{}, err
	}
	i, err := decodeImageV2(b)
	if err != nil {
		return Image{}, unreadable("PATCH "+path, err)
	}
	return i, nil
}

// patchOps writes a Change as operations, in an order that does not vary.
func patchOps(ch Change) ([]op, error) {
	var ops []op
	set := func(field string, value any) { ops = append(ops, op{"replace", "/" + field, value}) }
	for _, f := range []struct {
		field string
		value *string
	}{
		{"name", ch.Name}, {"visibility", ch.Visibility}, {"owner", ch.Owner}, {"disk_format", ch.DiskFormat}, {"container_format", ch.ContainerFormat},
	} {
		if f.value != nil && *f.value == "" {
			set(f.field, null)
		} else if f.value != nil {
			set(f.field, *f.value)
		}
	}
	if ch.Protected != nil {
		set("protected", *ch.Protected)
	}
	if ch.Hidden != nil {
		set("os_hidden", *ch.Hidden)
	}
	if ch.MinDisk != nil {
		set("min_disk", *ch.MinDisk)
	}
	if ch.MinRAM != nil {
		set("min_ram", *ch.MinRAM)
	}
	if ch.Tags != nil {
		set("tags", append([]string{}, *ch.Tags...)) // never null
	}
	for _, k := range append(slices.Sorted(maps.Keys(ch.Set)), ch.Unset...) {
		if isFieldV2(k) {
			return nil, invalid("a property cannot be called %q, which is a field of every image", k)
		}
		if value, ok := ch.Set[k]; ok {
			ops = append(ops, op{"add", pointer(k), value}) // which replaces as well
		} else {
			ops = append(ops, op{Op: "remove", Path: pointer(k)})
		}
	}
	return ops, nil
}

// pointer is the JSON pointer of a field (RFC 6901).
func pointer(key string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
