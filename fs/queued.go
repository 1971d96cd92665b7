package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/glanceapi"
)

// The data of an image that is queued can be written, which makes a draft of it
// that is sent when it is closed, as one in incoming/ is.

// statQueued fills in the attributes of the data of a queued image: those of its
// draft, if there is one.
func (d *imageData) statQueued(a *fuse.Attr, img glanceapi.Image) error {
	if draft := d.t.incoming.filler(d.id); draft != nil {
		return d.t.statDraft(a, draft, nil)
	}
	d.t.own(a, syscall.S_IFREG|0o644, changedAt(img))
	return nil
}

// openQueued opens the draft of the data of a queued image. Without one there is
// nothing to read.
func (d *imageData) openQueued(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	in := d.t.incoming
	var h gofs.FileHandle
	var open uint32
	var errno syscall.Errno
	for {
		if flags&syscall.O_ACCMODE == syscall.O_RDONLY && in.filler(d.id) == nil {
			return nil, fuse.FOPEN_NOFLUSH, 0
		}
		draft, err := in.fill(d.id)
		if err != nil {
			return nil, 0, d.t.errno("open data of image "+d.id, err)
		}
		h, open, errno = in.open(ctx, draft, flags)
		if !draft.isRemoved() {
			break
		}
		// Who had it open before has left it out meanwhile, as touch does: the kernel
		// tells of that some time after close has returned. Nothing would be made of it.
		if o, ok := h.(*opening); ok {
			o.Release(ctx)
		}
	}
	// Somebody else may fill the image meanwhile: then what the kernel keeps of the file
	// is the image's, and nothing of the draft, not even of what was mapped.
	open |= fuse.FOPEN_DIRECT_IO
	if errno == 0 {
		// Whoever opens it once it is active must not get it by passthrough
		// while it is open in this way.
		d.t.data.Store(d.identity().number(), d)
		d.mu.Lock()
		d.wrong = -1
		d.mu.Unlock()
	}
	return h, open, errno
}

// openAgain opens what was the draft of the data in the process before.
func (d *imageData) openAgain(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	draft := d.t.incoming.byNumber(d.identity())
	if draft == nil {
		return nil, 0, d.t.errno("open data of image "+d.id+" again", errLost)
	}
	return d.t.incoming.reopen(ctx, draft, flags)
}

var (
	_ = (gofs.NodeSetattrer)((*imageData)(nil))
	_ = (gofs.NodeFsyncer)((*imageData)(nil))
)

// Setattr changes the length of data that is yet to be sent. Of an image that was
// made here times, mode and owner are taken and forgotten, for programs that set
// them on what they have copied; of all others they are refused.
func (d *imageData) Setattr(ctx context.Context, h gofs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if o, ok := h.(*opening); ok {
		return o.Setattr(ctx, in, out)
	}
	img, err := d.current(ctx)
	if err != nil {
		return d.t.errno("setattr", err)
	}
	queued := img.Status == "queued"
	if _, sized := in.GetSize(); sized && queued {
		draft, err := d.t.incoming.fill(d.id)
		if err != nil {
			return d.t.errno("truncate data of image "+d.id, err)
		}
		return d.t.incoming.setattr(ctx, draft, in, out)
	} else if sized || !queued && !d.t.incoming.isMade(d.id) {
		return d.t.errno("setattr", errReadOnly)
	}
	return d.t.getattr(ctx, d, out)
}

// Fsync makes a draft survive a loss of power.
func (d *imageData) Fsync(ctx context.Context, h gofs.FileHandle, flags uint32) syscall.Errno {
	if o, ok := h.(*opening); ok {
		return o.Fsync(ctx, flags)
	}
	return 0
}
