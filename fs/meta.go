package fs

import (
	"context"

	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// describe returns the metadata of an image as the mount's service has it.
func (t *tree) describe(img glanceapi.Image) metadata.Image {
	return metadata.Describe(img, t.service.Version())
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
			return metadata.Encode(t.describe(img))
		},
		size: func() int {
			img, ok := t.catalog.Known(id)
			if !ok {
				return 0
			}
			b, _ := metadata.Encode(t.describe(img))
			return len(b)
		},
		changed: t.changed(id),
		put:     func(ctx context.Context, by process, text []byte) error { return t.putMeta(ctx, id, by, text) },
		read: func(by process, text []byte) {
			t.edits.readings.add(reading{of: id, by: by, text: text})
		},
	}
}
