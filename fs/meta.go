package fs

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"glancefs/glanceapi"
)

// metadata is the schema of meta.json, in the order of its keys. A key that
// the API's version lacks, or that has no value, is null.
type metadata struct {
	ID              string            `json:"id"`
	Name            *string           `json:"name"`
	Status          string            `json:"status"`
	Visibility      *string           `json:"visibility"`
	IsPublic        bool              `json:"is_public"`
	Protected       bool              `json:"protected"`
	Hidden          bool              `json:"hidden"`
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

func describe(img glanceapi.Image) metadata {
	m := metadata{
		ID: img.ID, Name: value(img.Name), Status: img.Status,
		Visibility: value(img.Visibility), IsPublic: img.Visibility == "public",
		Protected: img.Protected, Hidden: img.Hidden, Owner: value(img.Owner),
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

// encodeJSON is how all JSON of the tree is written: two spaces of indent, one
// newline at the end, and no escapes that only HTML needs.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// meta makes the meta.json of an image.
func (t *tree) meta(id string) *text {
	return &text{
		node: node{t: t}, kind: "meta.json", of: id,
		render: func(ctx context.Context) ([]byte, error) {
			img, err := t.catalog.image(ctx, id)
			if err != nil {
				return nil, err
			}
			return encodeJSON(describe(img))
		},
		size: func() int {
			img, ok := t.catalog.known(id)
			if !ok {
				return 0
			}
			b, _ := encodeJSON(describe(img))
			return len(b)
		},
		changed: t.changed(id),
	}
}
