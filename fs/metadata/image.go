package metadata

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"glancefs/glanceapi"
)

// Image is the schema of meta.json, in the order of its keys. A key that
// the API's version lacks, or that has no value, is null. A v1 image is public or
// private, which is_public says there.
type Image struct {
	ID              string            `json:"id"`
	Name            *string           `json:"name"`
	Status          string            `json:"status"`
	Visibility      *string           `json:"visibility"`
	IsPublic        bool              `json:"is_public"`
	Protected       bool              `json:"protected"`
	Hidden          *bool             `json:"hidden"`
	Owner           *string           `json:"owner"`
	Size            *int64            `json:"size"`
	VirtualSize     *int64            `json:"virtual_size"`
	DiskFormat      *string           `json:"disk_format"`
	ContainerFormat *string           `json:"container_format"`
	Checksum        *string           `json:"checksum"`
	HashAlgo        *string           `json:"hash_algo"`
	HashValue       *string           `json:"hash_value"`
	MinDisk         int64             `json:"min_disk"`
	MinRAM          int64             `json:"min_ram"`
	Tags            []string          `json:"tags"`
	CreatedAt       *string           `json:"created_at"`
	UpdatedAt       *string           `json:"updated_at"`
	Properties      map[string]string `json:"properties"`
}

// Describe returns what meta.json says of an image of a service of that API version.
func Describe(img glanceapi.Image, version string) Image {
	m := Image{
		ID: img.ID, Name: value(img.Name), Status: img.Status,
		Visibility: value(img.Visibility), IsPublic: img.Visibility == "public",
		Protected: img.Protected, Hidden: &img.Hidden, Owner: value(img.Owner),
		Size: count(img.Size), VirtualSize: count(img.VirtualSize),
		DiskFormat: value(img.DiskFormat), ContainerFormat: value(img.ContainerFormat),
		Checksum: value(img.Checksum), HashAlgo: value(img.HashAlgo), HashValue: value(img.HashValue),
		MinDisk: img.MinDisk, MinRAM: img.MinRAM, Tags: img.Tags,
		CreatedAt: stamp(img.CreatedAt), UpdatedAt: stamp(img.UpdatedAt), Properties: img.Properties,
	}
	if m.Tags == nil {
		m.Tags = []string{}
	}
	if m.Properties == nil {
		m.Properties = map[string]string{}
	}
	if version == "v1" {
		m.Hidden, m.Tags = nil, nil
	}
	return m
}

func value(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func count(n int64) *int64 {
	if n == glanceapi.UnknownSize {
		return nil
	}
	return &n
}

func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return value(t.UTC().Format(time.RFC3339))
}

// Fields returns every key of meta.json that has a value, and every property by its
// own key, as texts. A property that is called like a key of meta.json is not among them.
func (m Image) Fields() map[string]string {
	all := maps.Clone(m.Properties)
	b, _ := json.Marshal(m)
	var keys Document
	_ = json.Unmarshal(b, &keys) // of our own making
	for k, raw := range keys {
		var s string
		switch {
		case k == "properties" || string(raw) == "null":
			continue
		case k == "tags":
			s = strings.Join(m.Tags, ",")
		case json.Unmarshal(raw, &s) != nil:
			s = string(raw)
		}
		all[k] = s
	}
	return all
}
