package fs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/cache"
	"glancefs/fs/ledger"
	"glancefs/glanceapi"
)

// imageData is the data file of an image. It opens without a file handle: what
// reads need is found from the image's id, by whichever process serves them.
type imageData struct {
	node
	id string

	mu    sync.Mutex
	blob  *cache.Blob     // opened when first needed, closed when the kernel forgets the node
	image glanceapi.Image // as it was when first opened: what is open stays when the image goes
	line  *ledger.Line    // says so to the process that follows; nil before
	wrong int             // how often the blob had not matched when the kernel began to keep what it reads; -1 if that may be of before this process, of a draft, or of another blob
	inUse bool            // somebody has it open

	direct bool   // whoever opened it last reads past the page cache
	waited waited // the last wait in vain
}

func (d *imageData) identity() identity { return identity{"data", d.id} }

// life is none for attributes although the data never changes, because they
// also tell how much of it this host holds; that costs no request. Of an image
// that is here as a whole they stay, for who goes on reading it when nobody
// answers any more.
func (d *imageData) life() (entry, attr time.Duration) {
	refresh := d.t.refresh
	if img, ok := d.t.catalog.Known(d.id); ok && img.Status == "active" && d.t.held(img) == img.Size {
		return refresh, refresh
	}
	return refresh, 0
}

func (d *imageData) stat(ctx context.Context, a *fuse.Attr) error {
	img, err := d.current(ctx)
	if err != nil {
		return err
	}
	if img.Status == "queued" {
		return d.statQueued(a, img)
	}
	d.t.own(a, syscall.S_IFREG|0o444, changedAt(img))
	// Whatever becomes of the image, its size stays: a file that shrinks reads
	// as one that has ended. Nor is it ever without a block: tar -S does not read
	// what has none, and archives zeros.
	size := max(img.Size, 0)
	sized(a, size, max(d.t.held(img), min(size, 1)))
	return nil
}

// current is the image as far as it is known, or as it was when the file was
// opened if it is no more. An image that is yet to get data is asked for.
func (d *imageData) current(ctx context.Context) (glanceapi.Image, error) {
	img, ok := d.t.catalog.Known(d.id)
	if ok && img.Status == "active" {
		return d.t.inUse(img), nil
	}
	d.mu.Lock()
	opened := d.line != nil
	img = d.image
	d.mu.Unlock()
	if opened {
		return img, nil
	}
	return d.t.catalog.Image(ctx, d.id)
}

// readable tells why an image's data cannot be opened for reading, by the
// states of an image (Glance's "Image Statuses").
func readable(img glanceapi.Image) error {
	switch img.Status {
	case "active":
		if img.Size == glanceapi.UnknownSize {
			return errNoSize
		}
		return nil
	case "queued":
		return nil
	case "saving", "uploading", "importing":
		return errBusy
	case "deactivated":
		return iofs.ErrPermission
	default: // killed, deleted, pending_delete
		return errNoData
	}
}

var (
	_ = (gofs.NodeGetattrer)((*imageData)(nil))
	_ = (gofs.NodeOpener)((*imageData)(nil))
	_ = (gofs.NodeReader)((*imageData)(nil))
	_ = (gofs.NodeOnForgetter)((*imageData)(nil))
)

// Getattr answers stat.
func (d *imageData) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return d.t.getattr(ctx, d, out)
}

// Open lets the kernel keep what it has read before: the data of an active
// image never changes. What it has read of a blob that was dropped since, because
// it did not match, may be wrong: it was told so, unless the process has died.
func (d *imageData) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if flags&openAgain != 0 {
		return d.openAgain(ctx, flags)
	}
	img, err := d.t.catalog.Image(ctx, d.id)
	if err == nil && img.Status == "queued" {
		return d.openQueued(ctx, flags)
	}
	if err == nil {
		err = readable(img)
	}
	if err == nil && flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		err = errReadOnly
	}
	if err != nil {
		return nil, 0, d.t.errno("open data of image "+d.id, err)
	}
	renewed, err := d.renew(img)
	if err != nil {
		return nil, 0, d.t.errno("open data of image "+d.id, err)
	}
	open := uint32(fuse.FOPEN_NOFLUSH)
	if img.Status != "active" || img.Size <= 0 {
		return nil, open, 0
	}
	blob, err := d.open(ctx)
	if err != nil {
		return nil, 0, d.t.errno("open data of image "+d.id, err)
	}
	d.t.data.Store(d.identity().number(), d)
	if renewed {
		d.t.wrong(d.t.blobKey(img)) // its length, too
	}
	if d.opened(flags, blob.Mismatches()) {
		open |= fuse.FOPEN_KEEP_CACHE
	}
	return nil, open, 0
}

// opened notes an open, and reports whether the blob has matched since the last
// one, or was not compared.
func (d *imageData) opened(flags uint32, mismatches int) (same bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.direct = flags&syscall.O_DIRECT != 0
	same = d.wrong == mismatches
	d.wrong = mismatches
	return same
}

// Read returns all of dest, up to the end of the data, or an error and
// nothing: the kernel takes a short read for the end of the file.
func (d *imageData) Read(ctx context.Context, h gofs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if o, ok := h.(*opening); ok {
		return o.Read(ctx, dest, off)
	}
	n, err := d.read(readerOf(ctx), dest, off)
	if err != nil && err != io.EOF {
		return nil, d.t.errno(fmt.Sprintf("read data of image %s at %d", d.id, off), err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (d *imageData) read(ctx reader, dest []byte, off int64) (int, error) {
	if err := d.again(ctx, off, off+int64(len(dest))); err != nil {
		return 0, err
	}
	n, err := d.readAt(ctx, dest, off)
	if errors.Is(err, cache.ErrTimeout) {
		d.told(ctx, off, off+int64(len(dest)), err)
	}
	return n, err
}

func (d *imageData) readAt(ctx context.Context, dest []byte, off int64) (int, error) {
	blob, err := d.open(ctx)
	if err != nil {
		return 0, err
	}
	read := blob.ReadAt
	if d.t.strict {
		read = verified{blob}.ReadAt
	}
	n, err := read(ctx, dest, off)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		err = errNoData // the file is there; what it showed is gone
		d.t.catalog.Doubt(d.id)
	case errors.Is(err, iofs.ErrInvalid):
		err = fmt.Errorf("not understood by the service: %v", err) // the reader has asked for nothing wrong
	}
	return n, err
}

// open returns the blob behind the file.
func (d *imageData) open(ctx context.Context) (*cache.Blob, error) {
	if blob, err := d.reopen(); blob != nil || err != nil {
		return blob, err
	}
	img, err := d.t.catalog.Recall(ctx, d.id)
	if err != nil {
		return nil, err
	}
	if err := readable(img); err != nil {
		return nil, err
	}
	if img.Size == glanceapi.UnknownSize {
		return nil, errNoData
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blob != nil {
		return d.blob, nil
	}
	err = d.openAs(img)
	return d.blob, err
}

// reopen returns the blob of a file that was opened before, in this process or in
// the one before it, and nil for any other.
func (d *imageData) reopen() (*cache.Blob, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blob != nil || d.line == nil {
		return d.blob, nil
	}
	err := d.openAs(d.image)
	return d.blob, err
}

// openAs opens the blob of an image. Called with mu held.
func (d *imageData) openAs(img glanceapi.Image) (err error) {
	d.image = img
	d.blob, err = d.t.blob(img)
	if err != nil || d.line != nil {
		return err
	}
	text, err := json.Marshal(img)
	if err == nil {
		d.line = &ledger.Line{Kind: lineImage, Text: string(text)}
		d.t.ledger.Add(d.line)
	}
	return err
}

// OnForget gives the blob back.
func (d *imageData) OnForget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.t.data.CompareAndDelete(d.identity().number(), d) // and not the node's, by one that a draft was read through
	d.letGo()
}

// letGo gives the blob back. Called with mu held.
func (d *imageData) letGo() {
	if d.blob != nil {
		d.blob.Close()
		d.blob = nil
	}
	if d.line != nil {
		d.t.ledger.Remove(d.line)
		d.line = nil
	}
}
