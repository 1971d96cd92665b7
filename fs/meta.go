package fs

import (
	"context"
	"time"

	"glancefs/glanceapi"
)

// metadata is the schema of meta.json, in the order of its keys. A key that
// the API's version lacks, or that has no value, is null. A v1 image is public or
// private, which is_public says there.
type metadata struct {
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

// describe returns the metadata of an image as the mount's service has it.
func (t *tree) describe(img glanceapi.Image) metadata {
	m := metadata{
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
	if t.service.Version() == "v1" {
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

// meta makes the meta.json of an image.
func (t *tree) meta(id string) *text {
	return &text{
		node: node{t: t}, kind: "meta.json", of: id,
		render: func(ctx context.Context) ([]byte, error) {
			img, err := t.catalog.Image(ctx, id)
			if err != nil {
				return nil, err
			}
			return encodeJSON(t.describe(img))
		},
		size: func() int {
			img, ok := t.catalog.Known(id)
			if !ok {
				return 0
			}
			b, _ := encodeJSON(t.describe(img))
			return len(b)
		},
		changed: t.changed(id),
		put:     func(ctx context.Context, by process, text []byte) error { return t.putMeta(ctx, id, by, text) },
		read: func(by process, text []byte) {
			t.edits.readings.add(reading{of: id, by: by, text: text})
		},
	}
}
