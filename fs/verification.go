package fs

import (
	"context"

	"glancefs/cache"
)

// judged calls f with the blob of d. Of a file that is not open it is looked into when
// all of it is here: if it has been verified that is written down, and else it is about
// to be. There is nothing to know of others, and f is not called.
func (d *imageData) judged(ctx context.Context, f func(*cache.Blob)) {
	d.mu.Lock()
	blob := d.blob
	d.mu.Unlock()
	if blob == nil {
		img, err := d.current(ctx)
		if err != nil || img.Size <= 0 || d.t.held(img) < img.Size {
			return
		}
		if blob, err = d.t.blob(img); err != nil {
			return
		}
		defer blob.Close()
	}
	f(blob)
}

// verification is what user.glancefs.verified tells.
func (d *imageData) verification(ctx context.Context) string {
	v := cache.Unverified
	d.judged(ctx, func(b *cache.Blob) { v = b.Verification() })
	switch v {
	case cache.Verified:
		return "yes"
	case cache.Mismatched:
		return "no"
	}
	return "unknown"
}

// unverified is what user.glancefs.unverified tells: why the last check of the whole
// image came to nothing, or "" while there is nothing to tell.
func (d *imageData) unverified(ctx context.Context) (why string) {
	d.judged(ctx, func(b *cache.Blob) {
		if err := b.NotVerified(); err != nil {
			why = err.Error()
		}
	})
	return why
}
