package metadata

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"glancefs/cache"
	"glancefs/fs/diskformat"
	"glancefs/glanceapi"
)

// A Wish is what is asked for of an image that is yet to be made, in the words
// of meta.json.
type Wish struct {
	glanceapi.NewImage
	public    *bool  // is_public, where that is given
	Size      *int64 // of the data, where that is given
	checksum  string
	hashAlgo  string
	hashValue string
	guess     string // disk format that was found and not asked for
}

// field returns where the value of a key goes; a nil place is that of a key that
// has no say, because the service decides. ok is false for any other key.
func (w *Wish) field(key string) (place any, ok bool) {
	switch key {
	case "id":
		return &w.ID, true
	case "name":
		return &w.Name, true
	case "visibility":
		return &w.Visibility, true
	case "is_public":
		return &w.public, true
	case "protected":
		return &w.Protected, true
	case "hidden":
		return &w.Hidden, true
	case "owner":
		return &w.Owner, true
	case "disk_format":
		return &w.DiskFormat, true
	case "container_format":
		return &w.ContainerFormat, true
	case "min_disk":
		return &w.MinDisk, true
	case "min_ram":
		return &w.MinRAM, true
	case "tags":
		return &w.Tags, true
	case "store":
		return &w.Store, true
	case "type":
		return &w.Type, true
	case "size":
		return &w.Size, true
	case "checksum":
		return &w.checksum, true
	case "hash_algo":
		return &w.hashAlgo, true
	case "hash_value":
		return &w.hashValue, true
	case "status", "virtual_size", "created_at", "updated_at":
		return nil, true
	}
	return nil, false
}

// set takes the value of a key. One that is null says nothing.
func (w *Wish) set(key string, value json.RawMessage) error {
	place, ok := w.field(key)
	switch {
	case key == "properties":
		return w.setProperties(value)
	case !ok:
		return noSuchKey(key)
	case place == nil:
		return nil
	}
	if err := json.Unmarshal(value, place); err != nil {
		return notThat(key, value)
	}
	return nil
}

// setProperties takes properties. Those of the service have no say: they came with
// the meta.json of another image.
func (w *Wish) setProperties(value json.RawMessage) error {
	var all map[string]*string
	if err := json.Unmarshal(value, &all); err != nil {
		return notThat("properties", value)
	}
	for key, v := range all {
		if v != nil && !glanceapi.OfService(key) {
			w.setProperty(key, *v)
		}
	}
	return nil
}

func (w *Wish) setProperty(key, value string) {
	if w.Properties == nil {
		w.Properties = make(map[string]string)
	}
	w.Properties[key] = value
}

// Read takes in a file of metadata: the JSON object that meta.json has, of
// which any key may be missing, and store and type besides.
func (w *Wish) Read(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, MaxText+1))
	if err != nil {
		return err
	}
	keys, err := Parse(b)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	for key, value := range keys {
		if err := w.set(key, value); err != nil {
			return err
		}
	}
	return w.Check()
}

// SetAttr takes the value of an extended attribute: a key of meta.json, or a
// property.
func (w *Wish) SetAttr(key, value string) error {
	if !utf8.ValidString(key + value) {
		return notText(key)
	}
	place, ok := w.field(key)
	if !ok {
		w.setProperty(key, value)
		return nil
	}
	switch p := place.(type) {
	case nil:
		return nil
	case *string:
		*p = value
		return nil
	case *[]string:
		*p = strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		return nil
	}
	return w.set(key, json.RawMessage(bytes.TrimSpace([]byte(value))))
}

// Check refuses what contradicts itself, or cannot be.
func (w *Wish) Check() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf(format+": %w", append(args, iofs.ErrInvalid)...)
	}
	switch {
	case w.MinDisk < 0 || w.MinRAM < 0:
		return invalid("min_disk and min_ram cannot be negative")
	case w.Size != nil && *w.Size < 0:
		return invalid("size cannot be negative")
	case w.public != nil && w.Visibility != "" && *w.public != (w.Visibility == "public"):
		return invalid("is_public is %t and visibility %s", *w.public, w.Visibility)
	case w.hashAlgo != "" && w.hashValue != "" && !cache.CanVerify(w.hashAlgo):
		return invalid("hash_algo %s is not known here", w.hashAlgo)
	}
	return nil
}

// Settle fills in what was left open: the name, who sees the image, and what f,
// the format of its data, says.
func (w *Wish) Settle(name string, f diskformat.Format) {
	w.Name = cmp.Or(w.Name, name)
	switch {
	case w.Visibility != "":
	case w.public != nil && *w.public:
		w.Visibility = "public"
	default:
		w.Visibility = "private"
	}
	if w.Type == "" && w.DiskFormat == "" {
		w.DiskFormat, w.guess = f.Disk, f.Disk
	}
	if w.DiskFormat != "" && w.ContainerFormat == "" {
		w.ContainerFormat = ContainerOf(w.DiskFormat)
	}
}

// Guessed reports whether the disk format is this one by its looks only.
func (w *Wish) Guessed(disk string) bool { return w.guess == disk }

// ContainerOf is the container format that goes with a disk format: the Amazon
// ones come together.
func ContainerOf(disk string) string {
	if slices.Contains([]string{"ami", "aki", "ari"}, disk) {
		return disk
	}
	return "bare"
}

// Digests are what the data has to match.
func (w *Wish) Digests() []cache.Digest {
	var all []cache.Digest
	if w.checksum != "" {
		all = append(all, cache.Digest{Algo: "md5", Value: strings.ToLower(w.checksum)})
	}
	if w.hashValue != "" {
		all = append(all, cache.Digest{Algo: cmp.Or(w.hashAlgo, DefaultHash), Value: strings.ToLower(w.hashValue)})
	}
	return all
}
