package metadata

import (
	"bytes"
	"encoding/json"
	"fmt"
	iofs "io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"glancefs/glanceapi"
)

// A revised is what of an image somebody wants to be different, in the words of
// meta.json.
type revised struct {
	glanceapi.Change
	public *bool // is_public, where that is to be different
}

// set takes the value of a key that is to be different. null is that of what an
// image need not have.
func (r *revised) set(key string, value json.RawMessage) error {
	switch key {
	case "name":
		return take(&r.Name, key, value, true)
	case "visibility":
		return take(&r.Visibility, key, value, false)
	case "is_public":
		return take(&r.public, key, value, false)
	case "protected":
		return take(&r.Protected, key, value, false)
	case "hidden":
		return take(&r.Hidden, key, value, false)
	case "owner":
		return take(&r.Owner, key, value, true)
	case "disk_format":
		return take(&r.DiskFormat, key, value, true)
	case "container_format":
		return take(&r.ContainerFormat, key, value, true)
	case "min_disk":
		return take(&r.MinDisk, key, value, false)
	case "min_ram":
		return take(&r.MinRAM, key, value, false)
	case "tags":
		return take(&r.Tags, key, value, false)
	}
	if !IsFixed(key) {
		return noSuchKey(key)
	}
	return fmt.Errorf("%s cannot be changed: %w", key, iofs.ErrInvalid)
}

// fixedKeys are the keys of meta.json that only the service changes.
var fixedKeys = []string{"id", "status", "size", "virtual_size", "checksum", "hash_algo", "hash_value", "created_at", "updated_at"}

func IsFixed(key string) bool { return slices.Contains(fixedKeys, key) }

// take decodes the value of a key to where it belongs.
func take[T any](place **T, key string, value json.RawMessage, none bool) error {
	v := new(T)
	if isNull := string(value) == "null"; isNull && !none || json.Unmarshal(value, v) != nil {
		return notThat(key, value)
	}
	*place = v
	return nil
}

// setProperty sets a property, or takes it away if the value is null.
func (r *revised) setProperty(key string, value json.RawMessage) error {
	if string(value) == "null" {
		r.Unset = append(r.Unset, key)
		return nil
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return fmt.Errorf("the property %.80q has to be a string, not %.80s: %w", key, value, iofs.ErrInvalid)
	}
	if r.Set == nil {
		r.Set = make(map[string]string)
	}
	r.Set[key] = s
	return nil
}

// setProperties makes the properties those of value, where they were others. Those
// of the service stay: who writes all of one's own properties need not know of them.
func (r *revised) setProperties(value, old json.RawMessage) error {
	var now, before map[string]json.RawMessage
	if json.Unmarshal(value, &now) != nil || now == nil {
		return notThat("properties", value)
	}
	_ = json.Unmarshal(old, &before) // of our own making
	for key := range before {
		if _, ok := now[key]; !ok && !glanceapi.OfService(key) {
			r.Unset = append(r.Unset, key)
		}
	}
	for key, v := range now {
		if _, there := before[key]; !there && string(v) == "null" || Same(v, before[key]) {
			continue
		}
		if err := r.setProperty(key, v); err != nil {
			return err
		}
	}
	slices.Sort(r.Unset)
	return nil
}

// settle makes one of what was said twice, and refuses what contradicts itself.
func (r *revised) settle() error {
	switch {
	case r.MinDisk != nil && *r.MinDisk < 0 || r.MinRAM != nil && *r.MinRAM < 0:
		return fmt.Errorf("min_disk and min_ram cannot be negative: %w", iofs.ErrInvalid)
	case r.public == nil:
		return nil
	case r.Visibility != nil && *r.public != (*r.Visibility == "public"):
		return fmt.Errorf("is_public is %t and visibility %.80s: %w", *r.public, *r.Visibility, iofs.ErrInvalid)
	case r.Visibility != nil:
	case *r.public:
		r.Visibility = new("public")
	default:
		r.Visibility = new("private")
	}
	return nil
}

// A Document is meta.json, by its keys.
type Document map[string]json.RawMessage

// Since returns what has become different from old to d. Keys that d does not
// have stay as they are.
func (d Document) Since(old Document) (glanceapi.Change, error) {
	var r revised
	for _, key := range slices.Sorted(maps.Keys(d)) {
		value, err := d[key], error(nil)
		switch {
		case Same(value, old[key]):
		case key == "properties":
			err = r.setProperties(value, old[key])
		default:
			err = r.set(key, value)
		}
		if err != nil {
			return glanceapi.Change{}, err
		}
	}
	err := r.settle()
	return r.Change, err
}

// Agrees reports whether d says nothing else than now, as far as it can be
// changed.
func (d Document) Agrees(now Document) bool {
	for key, value := range d {
		if !IsFixed(key) && !Same(value, now[key]) {
			return false
		}
	}
	return true
}

// Nearest returns the one of several documents from which d differs least; the
// first of those that are alike in that, and nil of none.
func (d Document) Nearest(all []Document) (found Document) {
	least := 0
	for _, old := range all {
		if n := d.differences(old); found == nil || n < least {
			found, least = old, n
		}
	}
	return found
}

// differences counts what is different from old in d, as far as it can be changed;
// each property counts.
func (d Document) differences(old Document) (n int) {
	for key, value := range d {
		switch {
		case IsFixed(key) || Same(value, old[key]):
		case key == "properties":
			n += differing(value, old[key])
		default:
			n++
		}
	}
	return n
}

// differing counts the keys that are not the same in two JSON objects.
func differing(a, b json.RawMessage) (n int) {
	var now, before map[string]json.RawMessage
	if json.Unmarshal(a, &now) != nil || json.Unmarshal(b, &before) != nil {
		return 1
	}
	for key, value := range now {
		if !Same(value, before[key]) {
			n++
		}
	}
	for key := range before {
		if _, there := now[key]; !there {
			n++
		}
	}
	return n
}

// Same reports whether two values of JSON mean the Same, however they are written.
func Same(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var v, w any
	return json.Unmarshal(a, &v) == nil && json.Unmarshal(b, &w) == nil && reflect.DeepEqual(v, w)
}

// AttrChange is what setting an extended attribute of an image changes: a key of
// meta.json, or a property.
func AttrChange(key, value string) (glanceapi.Change, error) {
	var r revised
	if !utf8.ValidString(key + value) {
		return r.Change, notText(key)
	}
	raw, err := json.Marshal(value)
	switch key {
	case "name", "visibility", "owner", "disk_format", "container_format":
	case "tags":
		raw, err = json.Marshal(append([]string{}, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...))
	case "is_public", "protected", "hidden", "min_disk", "min_ram":
		raw = json.RawMessage(strings.TrimSpace(value))
	default:
		if !IsFixed(key) {
			r.Set = map[string]string{key: value}
			return r.Change, err
		}
	}
	if err == nil {
		err = r.set(key, raw)
	}
	if err == nil {
		err = r.settle()
	}
	return r.Change, err
}

// AttrRemoval is what taking an extended attribute away changes.
func AttrRemoval(key string) (glanceapi.Change, error) {
	var r revised
	value := json.RawMessage("null")
	switch key {
	case "tags":
		value = json.RawMessage("[]")
	case "name", "visibility", "owner", "disk_format", "container_format", "is_public", "protected", "hidden", "min_disk", "min_ram":
	default:
		if !IsFixed(key) {
			r.Unset = []string{key}
			return r.Change, nil
		}
	}
	err := r.set(key, value)
	return r.Change, err
}
