package glanceapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// purgeHeader tells releases from 2012 on whether properties that are not sent
// are to go.
const purgeHeader = "X-Glance-Registry-Purge-Props"

// update reads the record first, because the first releases take properties
// away that are not sent with every change. If the service turns out not to
// understand all of the change, what it did of it is undone.
func (v v1) update(ctx context.Context, id string, ch Change) (Image, error) {
	before, err := v.record(ctx, id)
	if err != nil {
		return Image{}, err
	}
	c, err := v.changeClaim(before, ch)
	if err != nil {
		return Image{}, err
	}
	after, err := v.put(ctx, id, c, len(ch.Unset) > 0 || !before.keeps)
	if err != nil {
		return Image{}, err
	}
	if err := v.took(ctx, after, c); err != nil {
		_, uerr := v.put(context.WithoutCancel(ctx), id, before.undo(c), true)
		return Image{}, errors.Join(err, uerr)
	}
	return after.Image, nil
}

func (v v1) put(ctx context.Context, id string, c claim, purge bool) (recordV1, error) {
	h, err := v.header(c)
	if err != nil {
		return recordV1{}, err
	}
	h.Set(purgeHeader, strconv.FormatBool(purge))
	cl := call{kind: &v.count.metadata, method: http.MethodPut, path: v.path(id), header: h, ok: []int{http.StatusOK}}
	b, _, _, err := v.repeat(ctx, cl)
	if err != nil {
		return recordV1{}, v.exists(ctx, id, plain(err, fs.ErrInvalid))
	}
	r, err := decodeImageV1(b)
	if err != nil {
		return recordV1{}, unreadable("PUT "+cl.path, err)
	}
	return r, nil
}

// changeClaim says what is to be different, and of what is not what has to be
// said lest it be lost.
func (v v1) changeClaim(before recordV1, ch Change) (claim, error) {
	switch {
	case ch.Tags != nil:
		return claim{}, unsupported("tags")
	case ch.Hidden != nil:
		return claim{}, unsupported("hiding an image")
	}
	c := claim{fields: map[string]string{}, properties: maps.Clone(ch.Set)}
	for k, s := range map[string]*string{"name": ch.Name, "owner": ch.Owner, "disk_format": ch.DiskFormat, "container_format": ch.ContainerFormat} {
		if s != nil {
			c.fields[k] = *s
		}
	}
	for k, i := range map[string]*int64{"min_disk": ch.MinDisk, "min_ram": ch.MinRAM} {
		if i != nil {
			c.fields[k] = strconv.FormatInt(*i, 10)
		}
	}
	if ch.Protected != nil {
		c.fields["protected"] = pythonBool(*ch.Protected)
	}
	if err := typeClaim(c, before, ch); err != nil {
		return claim{}, err
	}
	if err := publicClaim(c, before, ch.Visibility); err != nil {
		return claim{}, err
	}
	if len(ch.Unset) > 0 || !before.keeps {
		c.properties = maps.Clone(before.Properties)
		if c.properties == nil {
			c.properties = map[string]string{}
		}
		maps.Copy(c.properties, ch.Set)
	}
	for _, k := range ch.Unset {
		if _, there := before.Properties[k]; there && before.typed {
			return claim{}, unsupported("removing the property %s", k)
		}
		delete(c.properties, k)
	}
	return c, noEmpty(ch.Set)
}

// typeClaim minds the first release: it has a type in place of formats, and does
// without others, and without a word.
func typeClaim(c claim, before recordV1, ch Change) error {
	if !before.typed || ch.DiskFormat == nil && ch.ContainerFormat == nil {
		return nil
	}
	disk := before.DiskFormat
	if ch.DiskFormat != nil {
		disk = *ch.DiskFormat
	}
	c.fields["type"] = typeOf(disk)
	only, in, err := formatsOf(c.fields["type"])
	if err == nil && (disk != only || ch.ContainerFormat != nil && *ch.ContainerFormat != in) {
		err = fmt.Errorf("image %s: the service has only kernels, ramdisks, machine images and raw ones, no other formats: %w", before.ID, errors.ErrUnsupported)
	}
	return err
}

// publicClaim minds the first release: it takes any is_public for true, and
// none for false.
func publicClaim(c claim, before recordV1, visibility *string) error {
	public := before.Visibility == "public"
	if visibility != nil {
		var err error
		if public, err = isPublic(*visibility); err != nil {
			return err
		}
		if *visibility == "" {
			return invalid("an image without a visibility")
		}
	}
	if before.typed && public || !before.typed && visibility != nil {
		c.fields["is_public"] = pythonBool(public)
	}
	return nil
}

// undo says of all that c names what it was before.
func (r *recordV1) undo(c claim) claim {
	was := map[string]string{
		"name": r.Name, "owner": r.Owner, "disk_format": r.DiskFormat, "container_format": r.ContainerFormat,
		"min_disk": strconv.FormatInt(r.MinDisk, 10), "min_ram": strconv.FormatInt(r.MinRAM, 10),
		"protected": pythonBool(r.Protected), "is_public": pythonBool(r.Visibility == "public"),
	}
	u := claim{fields: map[string]string{}, properties: r.Properties}
	for k := range c.fields {
		if value, ok := was[k]; ok {
			u.fields[k] = value
		}
	}
	return u
}

// upload sends the data chunked: the releases of 2011 and 2012 make an active
// image of what came of an upload with a length that broke off. The size is told
// in a header all the same, which later releases compare.
func (v v1) upload(ctx context.Context, id string, size int64, o UploadOptions) (call, error) {
	r, err := v.record(ctx, id)
	if err != nil {
		return call{}, err
	}
	c := claim{fields: map[string]string{"size": strconv.FormatInt(size, 10)}}
	if !r.keeps {
		c.properties = r.Properties
	}
	if r.typed && r.Visibility == "public" {
		c.fields["is_public"] = "True"
	}
	if o.MD5 != "" {
		c.fields["checksum"] = strings.ToLower(o.MD5)
	}
	if o.Store != "" {
		c.fields["store"] = o.Store
	}
	h, err := v.header(c)
	if err != nil {
		return call{}, err
	}
	h.Set(purgeHeader, "false")
	return call{
		kind: &v.count.data, method: http.MethodPut, path: v.path(id), header: h, chunks: true, ok: []int{http.StatusOK},
		accept: func(answer []byte) error { return v.compare(id, answer, size, c.fields["checksum"]) },
	}, nil
}

// compare makes sure that the service has what it was sent.
func (v v1) compare(id string, answer []byte, size int64, md5 string) error {
	r, err := decodeImageV1(answer)
	if err != nil {
		return unreadable("PUT "+v.path(id), err)
	}
	why := ""
	switch {
	case r.Status != "active":
		why = "the image is " + oneLine(r.Status) + " after the upload"
	case r.Size != size:
		why = fmt.Sprintf("the service has %d bytes of %d", r.Size, size)
	case md5 != "" && r.Checksum != "" && r.Checksum != md5:
		why = "the service has other bytes: their MD5 is " + oneLine(r.Checksum) + ", not " + md5
	default:
		return nil
	}
	return &Error{Op: "PUT " + v.path(id), Message: why}
}

// remove meets the first release, which cannot delete an image without data.
func (v v1) remove(ctx context.Context, id string) error {
	err := v.delete(ctx, v.path(id))
	if e, ok := refused(err, http.StatusForbidden); ok && strings.Contains(e.Message, "protected") {
		e.means = ErrProtected
	}
	return v.exists(ctx, id, plain(err, ErrConflict))
}
