package glanceapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

// create reserves an image. A POST with data, which v1 has too, leaves a record
// behind when it fails, without telling its id.
func (v v1) create(ctx context.Context, n NewImage) (Image, error) {
	c, err := v.newClaim(n)
	if err != nil {
		return Image{}, err
	}
	h, err := v.header(c)
	if err != nil {
		return Image{}, err
	}
	cl := call{kind: &v.count.metadata, method: http.MethodPost, path: v.prefix + "/images", header: h, ok: []int{http.StatusCreated, http.StatusOK}}
	var b []byte
	tries := 1
	if n.ID == "" {
		b, err = v.sendOnce(ctx, cl)
	} else {
		b, _, tries, err = v.repeat(ctx, cl)
	}
	if err != nil {
		return v.notCreated(ctx, n, tries, err)
	}
	r, err := decodeImageV1(b)
	if err != nil {
		return Image{}, unreadable("POST "+cl.path, err)
	}
	if err := v.took(ctx, v.learn(r), c); err != nil {
		return Image{}, errors.Join(err, v.remove(context.WithoutCancel(ctx), r.ID))
	}
	return r.Image, nil
}

// newClaim writes what n says. What the service would do without is left out:
// the first release takes any is_public for true, later ones refuse what they
// do not know, such as type, and a size makes an empty image active at once.
func (v v1) newClaim(n NewImage) (claim, error) {
	public, err := isPublic(n.Visibility)
	switch {
	case err != nil:
		return claim{}, err
	case n.Hidden:
		return claim{}, unsupported("hiding an image")
	case len(n.Tags) > 0:
		return claim{}, unsupported("tags")
	}
	c := claim{fields: map[string]string{}, properties: n.Properties}
	for k, s := range map[string]string{
		"id": n.ID, "name": n.Name, "owner": n.Owner, "store": n.Store, "disk_format": n.DiskFormat, "container_format": n.ContainerFormat,
	} {
		if s != "" {
			c.fields[k] = s
		}
	}
	for k, i := range map[string]int64{"min_disk": n.MinDisk, "min_ram": n.MinRAM} {
		if i != 0 {
			c.fields[k] = strconv.FormatInt(i, 10)
		}
	}
	for k, b := range map[string]bool{"is_public": public, "protected": n.Protected} {
		if b {
			c.fields[k] = "True"
		}
	}
	if v.old() {
		c.fields["type"] = typeOf(n.DiskFormat)
	}
	return c, noEmpty(n.Properties)
}

// noEmpty refuses what some releases take for a property that is not there.
func noEmpty(properties map[string]string) error {
	for k, value := range properties {
		if value == "" {
			return invalid("the property %.80q: v1 cannot hold an empty value", k)
		}
	}
	return nil
}

func isPublic(visibility string) (bool, error) {
	switch visibility {
	case "public":
		return true, nil
	case "", "private", "shared":
		return false, nil
	case "community":
		return false, unsupported("the visibility community")
	}
	return false, invalid("visibility %.80q", visibility)
}

// typeOf is the type that the first release has in place of the formats. It
// knows no other disk images than raw ones.
func typeOf(disk string) string {
	switch disk {
	case "ami":
		return "machine"
	case "aki":
		return "kernel"
	case "ari":
		return "ramdisk"
	}
	return "raw"
}

// notCreated explains a refusal: the first releases have only one for
// everything, 500.
func (v v1) notCreated(ctx context.Context, n NewImage, tries int, err error) (Image, error) {
	e, refusedHere := refused(err, http.StatusConflict, http.StatusInternalServerError)
	if !refusedHere || e.temporary {
		return Image{}, err
	}
	e.means = fs.ErrInvalid
	if e.Status == http.StatusConflict {
		e.means = fs.ErrExist
	}
	if n.ID == "" {
		return Image{}, err
	}
	i, ierr := v.image(ctx, n.ID)
	if ierr == nil && tries > 1 && i.Status == "queued" && i.Name == n.Name {
		return i, nil // an earlier try, whose answer was lost, made it
	}
	if ierr == nil {
		e.means = fs.ErrExist
	}
	return Image{}, err
}

// took checks that the service has understood all of a claim: releases ignore
// what they do not know, and what the caller may not do, and text that is not
// ASCII makes images of some unreadable, also their data.
func (v v1) took(ctx context.Context, r recordV1, c claim) error {
	for _, f := range []struct {
		key  string
		have string
	}{
		{"id", r.ID}, {"name", r.Name}, {"owner", r.Owner}, {"disk_format", r.DiskFormat}, {"container_format", r.ContainerFormat},
		{"min_disk", strconv.FormatInt(r.MinDisk, 10)}, {"min_ram", strconv.FormatInt(r.MinRAM, 10)},
		{"protected", pythonBool(r.Protected)}, {"is_public", pythonBool(r.Visibility == "public")},
	} {
		formats := strings.HasSuffix(f.key, "_format") && r.typed
		if want, ok := c.fields[f.key]; ok && want != f.have && isASCII(want) && !formats {
			return fmt.Errorf("image %s: the service does not take %s %q: %w", r.ID, f.key, want, errors.ErrUnsupported)
		}
	}
	for k, want := range c.properties {
		if have, ok := r.Properties[k]; want != "" && (!ok || have != want && isASCII(want)) {
			return fmt.Errorf("image %s: the service does not take the property %s: %w", r.ID, k, errors.ErrUnsupported)
		}
	}
	if c.ascii() {
		return nil
	}
	_, err := v.head(ctx, r.ID)
	if e, ok := refused(err, http.StatusInternalServerError); ok && !e.temporary {
		return fmt.Errorf("image %s: this service cannot hold text that is not ASCII: %w: %w", r.ID, fs.ErrInvalid, err)
	}
	return err
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
