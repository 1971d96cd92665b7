package glanceapi

import (
	"net/http"
	"strconv"
	"strings"
)

// In v1 an image's record travels in headers, X-Image-Meta-FIELD and
// X-Image-Meta-Property-KEY. Services send them with underscores, take
// underscores and hyphens for the same, and forget case, also that of the keys
// of properties. Hyphens are sent, because some proxies drop the others.
const (
	metaPrefix     = "x_image_meta_"
	propertyPrefix = metaPrefix + "property_"
	idHeader       = "X-Image-Meta-Id" // which every release sends
)

// decodeHeaderV1 reads the headers of an answer about the image id. old says
// that it is from the first releases, which write None for null.
func decodeHeaderV1(h http.Header, id string, old bool) recordV1 {
	r := recordV1{Image: Image{ID: id, Size: UnknownSize, VirtualSize: UnknownSize}}
	for name, values := range h {
		key := strings.ReplaceAll(strings.ToLower(name), "-", "_")
		value := strings.Join(values, ",")
		if old && value == "None" {
			value = ""
		}
		if k, ok := strings.CutPrefix(key, propertyPrefix); ok {
			if r.Properties == nil {
				r.Properties = map[string]string{}
			}
			r.Properties[k] = value
		} else if k, ok := strings.CutPrefix(key, metaPrefix); ok {
			r.set(k, value)
		}
	}
	r.settle()
	return r
}

// set takes a field's value as text. What cannot be read is as if it were not
// there.
func (r *recordV1) set(key, value string) {
	switch key {
	case "id":
		r.ID = value
	case "name":
		r.Name = value
	case "status":
		r.Status = value
	case "is_public":
		r.Visibility = "private"
		if strings.EqualFold(value, "true") {
			r.Visibility = "public"
		}
	case "type":
		r.typed = true
		r.DiskFormat, r.ContainerFormat, _ = formatsOf(value)
	case "disk_format":
		r.DiskFormat = value
	case "container_format":
		r.ContainerFormat = value
	case "checksum":
		r.Checksum = strings.ToLower(value)
	case "owner":
		r.Owner = value
	case "size":
		r.Size = sizeOf(value)
	case "virtual_size":
		r.VirtualSize = sizeOf(value)
	case "min_disk":
		r.MinDisk = max(0, sizeOf(value))
	case "min_ram":
		r.MinRAM = max(0, sizeOf(value))
	case "protected":
		r.keeps = true
		r.Protected = strings.EqualFold(value, "true")
	case "deleted":
		r.deleted = strings.EqualFold(value, "true")
	case "created_at":
		r.CreatedAt = parseTime(value)
	case "updated_at":
		r.UpdatedAt = parseTime(value)
	}
}

func sizeOf(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return UnknownSize
	}
	return n
}

// settle puts right what v1 says of an image without data: that it has 0 bytes.
func (r *recordV1) settle() {
	if r.Size == 0 && (r.Status == "queued" || r.Status == "saving") {
		r.Size = UnknownSize
	}
}

// A claim is what a request says of an image.
type claim struct {
	fields     map[string]string
	properties map[string]string
}

// header writes the claim. What would not arrive as it is meant is refused:
// there is no way to escape anything.
func (v v1) header(c claim) (http.Header, error) {
	h := http.Header{}
	for k, value := range c.fields {
		if err := v.checkText(k, value); err != nil {
			return nil, err
		}
		h.Set("X-Image-Meta-"+strings.ReplaceAll(k, "_", "-"), value)
	}
	for k, value := range c.properties {
		if !plainKey(k) {
			return nil, invalid("the property %.80q: v1 has only keys of lower-case letters, digits and underscores", k)
		}
		if err := v.checkText(k, value); err != nil {
			return nil, err
		}
		h.Set("X-Image-Meta-Property-"+strings.ReplaceAll(k, "_", "-"), value)
	}
	return h, nil
}

// plainKey reports whether a property's key survives being a header's name: it
// is a token (RFC 9110, 5.6.2) without what the service changes.
func plainKey(k string) bool {
	const others = "!#$%&'*+.^_`|~"
	return k != "" && !strings.ContainsFunc(k, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune(others, c))
	})
}

func (v v1) checkText(key, value string) error {
	switch {
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return invalid("%s: v1 cannot hold the line breaks or control characters in %.80q", key, value)
	case strings.TrimSpace(value) != value:
		return invalid("%s: v1 would lose the blanks around %.80q", key, value)
	case v.old() && !isASCII(value):
		return invalid("%s: this service can hold only ASCII, not %.80q", key, value)
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// ascii reports whether all of the claim is.
func (c claim) ascii() bool {
	for _, m := range []map[string]string{c.fields, c.properties} {
		for _, v := range m {
			if !isASCII(v) {
				return false
			}
		}
	}
	return true
}
