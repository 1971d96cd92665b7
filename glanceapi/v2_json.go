package glanceapi

import (
	"encoding/json"
	"slices"
	"strings"
)

// decodeImageV2 reads one image. Core fields of an unexpected type and unknown
// fields of any type do no harm: releases differ, and so do their plugins.
func decodeImageV2(doc []byte) (Image, error) {
	i := Image{Size: UnknownSize, VirtualSize: UnknownSize}
	err := eachField(doc, func(key string, value json.RawMessage) {
		if set, ok := i.field(key); ok {
			set(value)
			return
		}
		if i.Properties == nil {
			i.Properties = map[string]string{}
		}
		i.Properties[key] = textOrJSON(value)
	})
	return i, err
}

// field returns what to do with the value of a core field.
func (i *Image) field(key string) (set func(json.RawMessage), ok bool) {
	switch key {
	case "id":
		return into(&i.ID, text), true
	case "name":
		return into(&i.Name, text), true
	case "status":
		return into(&i.Status, text), true
	case "visibility":
		return into(&i.Visibility, text), true
	case "owner":
		return into(&i.Owner, text), true
	case "disk_format":
		return into(&i.DiskFormat, text), true
	case "container_format":
		return into(&i.ContainerFormat, text), true
	case "checksum":
		return into(&i.Checksum, lowerText), true
	case "os_hash_algo":
		return into(&i.HashAlgo, lowerText), true
	case "os_hash_value":
		return into(&i.HashValue, lowerText), true
	case "protected":
		return into(&i.Protected, truth), true
	case "os_hidden":
		return into(&i.Hidden, truth), true
	case "size":
		return into(&i.Size, size), true
	case "virtual_size":
		return into(&i.VirtualSize, size), true
	case "min_disk":
		return into(&i.MinDisk, number), true
	case "min_ram":
		return into(&i.MinRAM, number), true
	case "tags":
		return into(&i.Tags, sortedTexts), true
	case "created_at":
		return func(v json.RawMessage) { i.CreatedAt = parseTime(text(v)) }, true
	case "updated_at":
		return func(v json.RawMessage) { i.UpdatedAt = parseTime(text(v)) }, true
	case "self", "file", "schema", // paths, which we make ourselves
		"direct_url", "locations": // where the data lies, for some stores with the password to it
		return func(json.RawMessage) {}, true
	}
	return nil, false
}

func into[T any](p *T, read func(json.RawMessage) T) func(json.RawMessage) {
	return func(v json.RawMessage) { *p = read(v) }
}

func decodeMemberV2(doc []byte) (Member, error) {
	var m Member
	err := eachField(doc, func(key string, value json.RawMessage) {
		switch key {
		case "member_id":
			m.ID = text(value)
		case "status":
			m.Status = text(value)
		}
	})
	return m, err
}

// text is a string's value, "" for null and JSON for anything else: the first
// releases' ids are numbers.
func text(v json.RawMessage) string {
	if string(v) == "null" {
		return ""
	}
	return textOrJSON(v)
}

func lowerText(v json.RawMessage) string { return strings.ToLower(text(v)) }

func truth(v json.RawMessage) bool { return strings.EqualFold(text(v), "true") }

func number(v json.RawMessage) int64 {
	var n json.Number
	if json.Unmarshal(v, &n) != nil {
		return 0
	}
	i, _ := n.Int64() // 0 for a fraction and for what no int64 holds
	return max(i, 0)
}

// size is a number of bytes, UnknownSize for what is none.
func size(v json.RawMessage) int64 {
	var n int64
	if string(v) == "null" || json.Unmarshal(v, &n) != nil || n < 0 {
		return UnknownSize
	}
	return n
}

// sortedTexts puts tags in order: the service's changes with every start.
func sortedTexts(v json.RawMessage) []string {
	var list []json.RawMessage
	if json.Unmarshal(v, &list) != nil {
		return nil
	}
	var all []string
	for _, raw := range list {
		all = append(all, text(raw))
	}
	slices.Sort(all)
	return all
}
