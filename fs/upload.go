package fs

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"glancefs/cache"
	"glancefs/fs/disk"
	"glancefs/fs/metadata"
	"glancefs/fs/publish"
	"glancefs/glanceapi"
)

// What can end an upload besides the image service.
var (
	errDiscarded = errors.New("the draft was removed")
	errStopped   = errors.New("glancefs was stopped before the upload was through")
)

// An upload is a draft on its way to become an image. It belongs to the mount:
// it goes on whoever waits for it, and ends with it.
type upload struct {
	name   string // in incoming/ once it is through; "" for the data of a queued image
	by     int    // the process that closed the draft, if that is how it began
	over   *draft // had the name then
	cancel context.CancelCauseFunc
	done   chan struct{}
	err    error        // once done
	looks  bool         // it sends nothing, it finds out what was sent
	unless func() error // tells why it must not begin after all, with the draft's mu held; nil if nothing can

	stage   atomic.Value // a string
	sent    atomic.Int64
	attempt *publish.Attempt // the image that was made for it, if one was
}

// The stages of an upload, as the status tells them.
const (
	stageWaiting   = "waiting"
	stageUploading = "uploading"
	stageChecking  = "checking"
)

// wait returns when the upload is through, with its error, or when the caller
// behind ctx has to leave.
func (u *upload) wait(ctx context.Context) error {
	if err := await(ctx, u.done); err != nil {
		return err
	}
	return u.err
}

// finish has an upload made and waits for it, and makes another where it has
// waited for one that was to find out what an earlier process has left.
func finish(ctx context.Context, start func() (*upload, error)) error {
	for {
		u, err := start()
		if err != nil {
			return err
		}
		if err := u.wait(ctx); !errors.Is(err, errInterrupted) || !u.looks {
			return err
		}
	}
}

// A job makes an image of what the spool has, or says why not.
type job func(ctx context.Context, u *upload, s *publish.Spool) (glanceapi.Image, error)

// start sends a draft on its way to an image under the name of u in incoming/, or
// returns the upload that is under way already.
func (in *incoming) start(d *draft, u *upload) (*upload, error) {
	return in.begin(d, u, func(ctx context.Context, u *upload, s *publish.Spool) (glanceapi.Image, error) {
		return in.publish(ctx, d, u, s)
	})
}

// begin makes u an upload of a draft that do takes to its end, or returns the one
// of that name that is under way already.
func (in *incoming) begin(d *draft, u *upload, do job) (*upload, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := u.may(); err != nil {
		return nil, err
	}
	switch {
	case d.up != nil && d.up.name == u.name:
		return d.up, nil
	case in.stopped:
		return nil, errStopped
	case d.removed:
		return nil, errDiscarded
	}
	if err := d.changeable(); err != nil {
		return nil, err
	}
	u.over, u.done = in.named[u.name], make(chan struct{})
	u.stage.Store(stageWaiting)
	ctx, cancel := context.WithCancelCause(in.ctx)
	u.cancel = cancel
	d.up = u
	in.work.Go(func() {
		defer close(u.done)
		defer cancel(nil)
		in.run(ctx, d, u, do)
	})
	return u, nil
}

// may tells why an upload must not begin. Called with the draft's mu held.
func (u *upload) may() error {
	if u.unless == nil {
		return nil
	}
	return u.unless()
}

// run takes an upload to its end.
func (in *incoming) run(ctx context.Context, d *draft, u *upload, do job) {
	err := d.drained(ctx, &d.writes)
	var s *publish.Spool
	if err == nil {
		s, err = publish.OpenSpool(d.path(), in.likelyHash())
		err = ofTheDisk(err)
	}
	var img glanceapi.Image
	if err == nil {
		defer s.Close()
		d.mu.Lock()
		d.fixed = s.Info
		damaged := d.about.Damaged
		d.mu.Unlock()
		if damaged {
			s.Spoil()
			err = disk.ErrDamaged
		}
		if !damaged || u.looks {
			img, err = do(ctx, u, s)
		}
	}
	if err == nil && d.isRemoved() {
		err = errDiscarded
		if u.attempt != nil {
			in.undo(u.attempt)
		}
	}
	if err == nil {
		in.succeed(d, u, s, img)
		return
	}
	// That bytes are lost counts whatever ended it besides: the kernel tells it once.
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, disk.ErrDamaged) {
		err = cause
	}
	in.fail(d, u, err)
}

// likelyHash is by which hash the service will tell what data it has.
func (in *incoming) likelyHash() string {
	if in.t.service.Version() == "v1" {
		return "md5"
	}
	return metadata.DefaultHash
}

// succeed puts the image in the draft's place.
func (in *incoming) succeed(d *draft, u *upload, s *publish.Spool, img glanceapi.Image) {
	in.t.catalog.Made(img)
	w := watch(d, u.by) // before the locks: /proc may take its time
	in.remember(w, u, img.ID, s.Info)
	d.mu.Lock()
	d.image, d.made = img.ID, img // from here on its file may be the cache's, which makes holes in it
	d.mu.Unlock()
	in.adopt(d, s, img)
	in.mu.Lock()
	d.mu.Lock()
	d.up = nil
	in.made[img.ID] = true
	in.changed = time.Now()
	in.tally.through(s.Size)
	gone := d.removed
	d.mu.Unlock()
	if u.name == "" {
		delete(in.filling, img.ID)
	} else if !gone {
		in.replace(w, u, img.ID)
	} else if _, ok := in.links[u.name]; !ok {
		in.dropLink(u.name)
	}
	in.mu.Unlock()
	if u.over != nil && u.over != d {
		u.over.discard()
	}
	if u.name != "" {
		in.remove(u.name + sidecarSuffix)
	}
	d.erase()
	if u.attempt != nil {
		in.settled(u.attempt)
	}
	in.unwatch()
	in.t.log.Info("image made", "name", img.Name, "image", img.ID, "size", img.Size)
	in.t.staleName(img.Name)
}

// replace puts a link to the image where the draft's name was, or is to be, unless
// another draft has that since. Called with mu held.
func (in *incoming) replace(w watched, u *upload, image string) {
	if name := w.name(); in.named[name] == w.draft {
		delete(in.named, name)
	}
	if there := in.named[u.name]; there != nil && there != u.over {
		u.over = nil
		in.dropLink(u.name)
		return
	}
	kept := in.kept[u.name] // by remember: it is to stay until it is written anew
	delete(in.kept, u.name)
	in.vacate(u.name)
	in.kept[u.name] = kept
	in.links[u.name] = linked{image, "/data"}
	in.watched[u.name] = w
	in.keepLink(u.name)
}

// adopt makes the bytes of the draft those that the cache holds of the image.
func (in *incoming) adopt(d *draft, s *publish.Spool, img glanceapi.Image) {
	err := s.Finish(in.ctx)
	if err == nil && s.Size > 0 {
		err = in.t.store.Adopt(in.t.blobKey(img), metadata.DigestOf(img), d.path(), s.Blocks())
	}
	if err != nil && !errors.Is(err, cache.ErrLarger) && !errors.Is(err, cache.ErrOpen) {
		in.t.log.Warn("an image that was just sent is not cached", "image", img.ID, "err", err)
	}
}

// fail gives the draft back, with the reason.
func (in *incoming) fail(d *draft, u *upload, err error) {
	name := cmp.Or(u.name, d.name())
	if name == "" {
		name = "images/" + d.known().Image + "/data"
	}
	errno, known := errnoOf(err)
	if known {
		in.t.log.Warn("upload failed; the draft is kept", "name", name, "err", err)
	} else {
		errno = in.t.errno("upload of "+name+" (the draft is kept)", err)
	}
	u.err = &toldError{err, errno}
	in.mu.Lock()
	in.tally.failed++
	in.mu.Unlock()
	d.mu.Lock()
	d.up, d.fixed = nil, nil
	d.about.Damaged = d.about.Damaged || errors.Is(err, disk.ErrDamaged)
	gone := d.removed
	d.mu.Unlock()
	if gone {
		return
	}
	if err := d.tell(func(a *about) { a.Error = u.err.Error() }); err != nil {
		in.t.log.Warn("the reason of a failed upload is not kept", "name", name, "err", err)
	}
	if image := d.known().Image; image != "" && in.takesNoMore(image, err) {
		in.rescue(image, d)
	}
}
