package server

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The formats a default Glance knows.
func diskFormats() []string {
	return []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
}

func containerFormats() []string {
	return []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}
}

func visibilities() []string {
	return []string{visibilityCommunity, visibilityPublic, visibilityPrivate, visibilityShared}
}

// isBase reports whether key is an image's own attribute that a client may
// write; any other writable key is a property.
func isBase(key string) bool {
	switch key {
	case "name", "visibility", "protected", "os_hidden", "owner", "container_format", "disk_format", "tags", "min_ram", "min_disk":
		return true
	}
	return false
}

// writable refuses the keys that only the server sets.
func writable(key string) error {
	switch key {
	case "id", "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at",
		"self", "file", "schema", "direct_url", "stores":
		return forbidden("Attribute '%s' is read-only.", key)
	case "locations", "deleted", "deleted_at":
		return forbidden("Attribute '%s' is reserved.", key)
	}
	if strings.HasPrefix(key, "os_glance_") {
		return forbidden("Access was denied to this resource.").withDetail("Attribute '%s' is reserved.", key)
	}
	return nil
}

// setField gives an image's attribute or property a value in JSON. It knows
// the rules of the schema, not who may break them.
func setField(r *Record, key string, raw json.RawMessage) error {
	switch key {
	case "name":
		return setName(r, raw)
	case "visibility":
		return setEnum(&r.Visibility, raw, visibilities(), false)
	case "disk_format":
		return setEnum(&r.DiskFormat, raw, diskFormats(), true)
	case "container_format":
		return setEnum(&r.ContainerFormat, raw, containerFormats(), true)
	case "owner":
		return setOwner(r, raw)
	case "protected":
		return setBool(&r.Protected, raw)
	case "os_hidden":
		return setBool(&r.Hidden, raw)
	case "min_disk":
		return setCount(&r.MinDisk, raw, key)
	case "min_ram":
		return setCount(&r.MinRAM, raw, key)
	case "tags":
		return setTags(r, raw)
	}
	return setProperty(r, key, raw)
}

// mismatch is the answer to a value that the schema does not allow.
func mismatch(raw json.RawMessage, format string, args ...any) *problem {
	p := badRequest(format, args...)
	p.text = "Provided object does not match schema 'image': " + python(raw) + " " + p.text
	return p
}

// python shows a scalar in JSON as Python would.
func python(raw json.RawMessage) string {
	var s string
	switch json.Unmarshal(raw, &s); {
	case string(raw) == "null":
		return "None"
	case string(raw) == "true":
		return "True"
	case string(raw) == "false":
		return "False"
	case raw[0] == '"':
		return "'" + s + "'"
	}
	return string(raw)
}

// text decodes a string or null; ok is false for anything else.
func text(raw json.RawMessage) (s *string, ok bool) {
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

func setName(r *Record, raw json.RawMessage) error {
	s, ok := text(raw)
	switch {
	case !ok:
		return mismatch(raw, "is not of type 'null', 'string'")
	case s != nil && utf8.RuneCountInString(*s) > 255:
		return mismatch(raw, "is too long")
	case s != nil && strings.ContainsFunc(*s, func(c rune) bool { return c > 0xffff }):
		return badRequest("Name can't contain 4 byte unicode characters.")
	}
	r.Name = s
	return nil
}

func setOwner(r *Record, raw json.RawMessage) error {
	s, ok := text(raw)
	switch {
	case !ok:
		return mismatch(raw, "is not of type 'null', 'string'")
	case s != nil && utf8.RuneCountInString(*s) > 255:
		return mismatch(raw, "is too long")
	}
	r.Owner = ""
	if s != nil {
		r.Owner = *s
	}
	return nil
}

func setEnum(dst *string, raw json.RawMessage, values []string, null bool) error {
	s, ok := text(raw)
	switch {
	case ok && s == nil && null:
		*dst = ""
		return nil
	case ok && s != nil && slices.Contains(values, *s):
		*dst = *s
		return nil
	}
	if !ok || s == nil {
		return mismatch(raw, "is not of type 'string'")
	}
	list := "'" + strings.Join(values, "', '") + "'"
	if null {
		list = "None, " + list
	}
	return mismatch(raw, "is not one of [%s]", list)
}

func setBool(dst *bool, raw json.RawMessage) error {
	var b *bool
	if err := json.Unmarshal(raw, &b); err != nil || b == nil {
		return mismatch(raw, "is not of type 'boolean'")
	}
	*dst = *b
	return nil
}

func setCount(dst *int64, raw json.RawMessage, key string) error {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case err != nil:
		return mismatch(raw, "is not of type 'integer'")
	case n > math.MaxInt32:
		return badRequest("'%s' value out of range, must not exceed %d.", key, math.MaxInt32)
	case n < 0:
		return badRequest("Invalid value '%d' for parameter '%s': Cannot be a negative value", n, key)
	}
	*dst = n
	return nil
}

func setTags(r *Record, raw json.RawMessage) error {
	var tags []json.RawMessage
	if err := json.Unmarshal(raw, &tags); err != nil || tags == nil {
		return mismatch(raw, "is not of type 'array'")
	}
	r.Tags = nil
	for _, t := range tags {
		s, ok := text(t)
		switch {
		case !ok || s == nil:
			return mismatch(t, "is not of type 'string'")
		case utf8.RuneCountInString(*s) > 255:
			return mismatch(t, "is too long")
		case !slices.Contains(r.Tags, *s):
			r.Tags = append(r.Tags, *s)
		}
	}
	return nil
}

func setProperty(r *Record, key string, raw json.RawMessage) error {
	s, ok := text(raw)
	switch {
	case !ok || s == nil:
		return mismatch(raw, "is not of type 'string'")
	case utf8.RuneCountInString(key) > 255:
		return badRequest("Custom property should not be greater than 255 characters.")
	}
	if r.Properties == nil {
		r.Properties = map[string]string{}
	}
	r.Properties[key] = *s
	return nil
}
