package fs

import (
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/glanceapi"
)

// TestChangedAt has files of images whose service leaves their times out.
func TestChangedAt(t *testing.T) {
	made, changed := time.Unix(1_000, 0), time.Unix(2_000, 0)
	for _, c := range []struct {
		img  glanceapi.Image
		want uint64
	}{
		{glanceapi.Image{CreatedAt: made, UpdatedAt: changed}, 2_000},
		{glanceapi.Image{CreatedAt: made}, 1_000},
		{glanceapi.Image{}, 0},
	} {
		var a fuse.Attr
		(&tree{}).own(&a, 0, changedAt(c.img))
		if a.Mtime != c.want {
			t.Errorf("made %v, changed %v: %d, want %d", c.img.CreatedAt, c.img.UpdatedAt, int64(a.Mtime), c.want)
		}
	}
}
