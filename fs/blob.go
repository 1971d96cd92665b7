package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cenkalti/backoff/v5"

	"glancefs/cache"
	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// held is how many bytes of an image this host holds. Of one that was not opened
// since the mount it is what its file takes on disk, in blocks of that.
func (t *tree) held(img glanceapi.Image) int64 {
	return min(t.store.Held(t.blobKey(img)), max(img.Size, 0))
}

// blob opens the blob of an image.
func (t *tree) blob(img glanceapi.Image) (*cache.Blob, error) {
	return t.store.Blob(t.blobKey(img), img.Size, metadata.DigestOf(img), source{t.service, img.ID, img.Size})
}

// blobKey names an image's bytes for all clouds and all times: an id may be
// used again only by an administrator who edits the database, and then the
// checksum, or where there is none the date, is another.
func (t *tree) blobKey(img glanceapi.Image) cache.Key {
	sum := img.HashValue
	if sum == "" {
		sum = img.Checksum
	}
	if sum == "" {
		sum = img.CreatedAt.UTC().Format(time.RFC3339)
	}
	return cache.Key(fmt.Sprintf("%s %s %d %s", t.service.Endpoint(), img.ID, img.Size, sum))
}

// A verified blob gives out nothing before all of it is verified.
type verified struct{ *cache.Blob }

// maxUnkept is how often a read finds that a blob that had been verified is not any more.
const maxUnkept = 5

// errUnkept ends a read of what other images push out of the cache all the time.
var errUnkept = errors.New("the cache does not keep the image until it is read")

// ReadAt reads anew what was not verified any more once it had been read: bytes
// that were evicted in between come from the service, and were not compared.
func (v verified) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	for range maxUnkept {
		if err := v.Verify(ctx); err != nil {
			return 0, err
		}
		n, err := v.Blob.ReadAt(ctx, p, off)
		if err != nil && err != io.EOF || v.Verification() == cache.Verified {
			return n, err
		}
	}
	return 0, errUnkept
}

// A source fetches the bytes of one image.
type source struct {
	service opener
	id      string
	size    int64
}

// Open opens a stream of image data. What the service has refused for good is
// marked as such; everything else is worth another try.
func (s source) Open(ctx context.Context, off, n int64) (cache.Stream, error) {
	data, err := s.service.OpenData(ctx, s.id, off, n, s.size)
	if err != nil {
		if !glanceapi.Temporary(err) {
			err = backoff.Permanent(err)
		}
		return cache.Stream{}, err
	}
	return cache.Stream{Body: data.Body, Start: data.Start, End: data.End}, nil
}
