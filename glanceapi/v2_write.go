package glanceapi

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

const jsonMedia = "application/json"

func (v v2) create(ctx context.Context, n NewImage) (Image, error) {
	doc, err := encodeNewV2(n)
	if err != nil {
		return Image{}, err
	}
	if err := v.checkStore(ctx, n.Store); err != nil {
		return Image{}, err
	}
	cl, tries := v.sending(http.MethodPost, "/v2/images", jsonMedia, doc, http.StatusCreated), 1
	var b []byte
	if n.ID == "" {
		b, err = v.sendOnce(ctx, cl)
	} else {
		b, _, tries, err = v.repeat(ctx, cl)
	}
	if e, ok := refused(err, http.StatusConflict); ok {
		e.means = fs.ErrExist
		if i, ok := v.created(ctx, n, tries); ok {
			return i, nil
		}
	}
	if err != nil {
		return Image{}, err
	}
	i, err := decodeRecord(b, decodeImageV2)
	if err != nil {
		return Image{}, unreadable("POST /v2/images", err)
	}
	return i, nil
}

// created returns the image that an earlier try, whose answer was lost, made.
func (v v2) created(ctx context.Context, n NewImage, tries int) (Image, bool) {
	if tries < 2 {
		return Image{}, false
	}
	i, err := v.image(ctx, n.ID)
	return i, err == nil && i.ID == n.ID && i.Name == n.Name && i.Status == "queued"
}

// encodeNewV2 writes what n says and leaves the rest to the service.
func encodeNewV2(n NewImage) ([]byte, error) {
	doc := map[string]any{}
	for k, v := range n.Properties {
		if isFieldV2(k) {
			return nil, invalid("a property cannot be called %q, which is a field of every image", k)
		}
		doc[k] = v
	}
	for k, v := range map[string]string{
		"id": n.ID, "name": n.Name, "visibility": n.Visibility, "disk_format": n.DiskFormat,
		"container_format": n.ContainerFormat, "owner": n.Owner,
	} {
		if v != "" {
			doc[k] = v
		}
	}
	for k, v := range map[string]bool{"protected": n.Protected, "os_hidden": n.Hidden} {
		if v {
			doc[k] = v
		}
	}
	for k, v := range map[string]int64{"min_disk": n.MinDisk, "min_ram": n.MinRAM} {
		if v != 0 {
			doc[k] = v
		}
	}
	if len(n.Tags) > 0 {
		doc["tags"] = n.Tags
	}
	return json.Marshal(doc)
}

// isFieldV2 reports whether a key of v2's flat object is not a property's.
func isFieldV2(key string) bool {
	_, ok := new(Image).field(key)
	return ok || key == "stores"
}

// checkStore fails unless the service takes data for the store of that name. A
// service with one store alone would ignore the name.
func (v v2) checkStore(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	b, _, err := v.document(ctx, "/v2/info/stores")
	if _, ok := refused(err, http.StatusNotFound); ok {
		return invalid("no store %q: the service has one store, without a name", name)
	}
	if err != nil {
		return err
	}
	var doc struct {
		Stores []struct {
			ID       string
			ReadOnly string `json:"read-only"`
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return unreadable("/v2/info/stores", err)
	}
	var names []string
	for _, s := range doc.Stores {
		if s.ID == name && strings.EqualFold(s.ReadOnly, "true") {
			return invalid("store %q is only for reading", name)
		}
		if s.ID == name {
			return nil
		}
		names = append(names, s.ID)
	}
	return invalid("no store %q, only %s", name, oneLine(strings.Join(names, ", ")))
}

func (v v2) upload(ctx context.Context, id string, size int64, o UploadOptions) (call, error) {
	if err := v.checkStore(ctx, o.Store); err != nil {
		return call{}, err
	}
	h := http.Header{"X-Openstack-Image-Size": {strconv.FormatInt(size, 10)}} // compared from 2025.2 on
	if o.Store != "" {
		h.Set("X-Image-Meta-Store", o.Store)
	}
	return call{
		kind: &v.count.data, method: http.MethodPut, path: "/v2/images/" + id + "/file", header: h,
		ok: []int{http.StatusNoContent, http.StatusOK, http.StatusCreated},
	}, nil
}

func (v v2) remove(ctx context.Context, id string) error {
	err := v.delete(ctx, "/v2/images/"+id)
	if e, ok := refused(err, http.StatusForbidden); ok && strings.Contains(e.Message, "protected") {
		e.means = ErrProtected
	}
	return err
}
