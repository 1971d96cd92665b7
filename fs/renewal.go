package fs

import (
	"errors"
	"strings"

	"glancefs/glanceapi"
)

// Image data never changes, and an id is not given away again, as long as nobody purges
// the service's database. Then an image may come back under an id with other data than
// the kernel and the cache know.

// errRenewed is the answer to who opens an image's data while somebody reads on in what
// it was before: an inode cannot have both.
var errRenewed = errors.New("the image service has other data under this id now, and the former is still open here")

// isOther reports whether the data of two images of one id is known to differ. A
// checksum that comes later than the data says nothing.
func isOther(a, b glanceapi.Image) bool {
	switch {
	case a.Size < 0 || b.Size < 0:
		return false
	case a.Size != b.Size:
		return true
	case a.HashAlgo == b.HashAlgo && a.HashValue != "" && b.HashValue != "":
		return !strings.EqualFold(a.HashValue, b.HashValue)
	case a.Checksum != "" && b.Checksum != "":
		return !strings.EqualFold(a.Checksum, b.Checksum)
	}
	return false
}

// use notes whether somebody has the file open.
func (d *imageData) use(open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inUse = open
}

// inUse returns the image as somebody has it open, if it has other data by now.
func (t *tree) inUse(img glanceapi.Image) glanceapi.Image {
	d := t.opened(identity{"data", img.ID}.number())
	if d == nil {
		return img
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inUse && d.line != nil && isOther(d.image, img) {
		return d.image
	}
	return img
}

// renew gives the blob back that has other data than img, which is the same image as it
// is now, unless it is in use. The kernel is to be told then.
func (d *imageData) renew(img glanceapi.Image) (renewed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.line == nil || !isOther(d.image, img):
		return false, nil
	case d.inUse:
		return false, errRenewed
	}
	d.t.log.Warn("an image has come back with other data", "image", d.id)
	d.letGo()
	d.wrong = -1
	return true, nil
}
