package glanceapi

import (
	"context"
	"fmt"
	"io/fs"
	"unicode/utf8"
)

// A NewImage is what an image is created with. Zero values are left to the
// service.
type NewImage struct {
	// ID is chosen by the caller, so that creating can be repeated when an answer
	// is lost: a UUID, if the Client TakesUUIDs. "" lets the service choose.
	ID              string
	Name            string
	Visibility      string // public, private, shared, community; on v1 public or not
	DiskFormat      string
	ContainerFormat string
	Owner           string // project id; only an administrator may name another than its own
	Protected       bool
	Hidden          bool
	MinDisk         int64 // GiB
	MinRAM          int64 // MiB
	Tags            []string
	Properties      map[string]string
	// Store is the backing store the data is meant for. It is checked as far as
	// the service lets us, and has to be given to Upload again.
	Store string
	// Type is what the first releases had in place of the two formats: machine,
	// kernel, ramdisk or raw. Formats that are not given follow from it.
	Type string
}

// Create makes an image without data, which is queued. An id that is, or ever
// was, in use is fs.ErrExist; what the service does not take is fs.ErrInvalid,
// fs.ErrPermission or ErrTooLarge. With an id of the caller's choice it is tried
// again for the Config's Timeout like every other call, otherwise once, because
// two images might come of it.
func (c *Client) Create(ctx context.Context, n NewImage) (Image, error) {
	if n.ID != "" && !validID(n.ID) {
		return Image{}, invalid("creating an image with the id %.80q", n.ID)
	}
	if err := n.checkText(); err != nil {
		return Image{}, err
	}
	disk, container, err := formatsOf(n.Type)
	if err != nil {
		return Image{}, err
	}
	if n.DiskFormat == "" && n.ContainerFormat == "" {
		n.DiskFormat, n.ContainerFormat = disk, container
	}
	i, err := c.api.create(ctx, n)
	if err != nil {
		return Image{}, err
	}
	if !validID(i.ID) || n.ID != "" && i.ID != n.ID {
		return Image{}, &Error{Op: "creating image " + n.ID, Message: fmt.Sprintf("the service answered with image %.80q", i.ID)}
	}
	return i, nil
}

// checkText refuses what no JSON can carry unharmed.
func (n *NewImage) checkText() error {
	all := append([]string{n.Name, n.Visibility, n.DiskFormat, n.ContainerFormat, n.Owner, n.Store}, n.Tags...)
	for k, v := range n.Properties {
		all = append(all, k, v)
	}
	return checkUTF8(all...)
}

func checkUTF8(all ...string) error {
	for _, s := range all {
		if !utf8.ValidString(s) {
			return invalid("the text %.80q is not UTF-8", s)
		}
	}
	return nil
}

// formatsOf gives the formats that say what a type of the first releases said.
func formatsOf(kind string) (disk, container string, err error) {
	switch kind {
	case "":
		return "", "", nil
	case "machine":
		return "ami", "ami", nil
	case "kernel":
		return "aki", "aki", nil
	case "ramdisk":
		return "ari", "ari", nil
	case "raw":
		return "raw", "bare", nil
	}
	return "", "", invalid("image type %.80q is none of machine, kernel, ramdisk and raw", kind)
}

// Delete removes an image and its data, whatever its state. A protected one is
// ErrProtected, one that is in use ErrConflict.
func (c *Client) Delete(ctx context.Context, id string) error {
	if !validID(id) {
		return fmt.Errorf("image %q: %w", id, fs.ErrNotExist)
	}
	return c.api.remove(ctx, id)
}
