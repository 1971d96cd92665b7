package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"glancefs/cache"
	"glancefs/fs/ledger"
	"glancefs/fs/publish"
)

// maxUploads is how many drafts are sent at a time. More would not make the link
// faster, but each of them later; those that wait cost nothing.
const maxUploads = 4

// renameGrace is how long a rename waits for writers to be gone: the kernel
// tells of the end of an opening some time after close has returned.
const renameGrace = time.Second

// incoming is what is in incoming/: drafts, links to the images they have
// become, and the uploads between the two.
type incoming struct {
	t         *tree
	dir       string // of the drafts, and what publisher keeps
	publisher *publish.Publisher
	ctx       context.Context // of the uploads
	cancel    context.CancelCauseFunc
	tidyCtx   context.Context // of tidying, which has time until the next mount
	endTidy   context.CancelFunc
	work      sync.WaitGroup // uploads, and tidying
	slots     *semaphore.Weighted

	mu        sync.Mutex              // taken before that of a draft
	named     map[string]*draft       // by name
	filling   map[string]*draft       // by the queued image whose data they are
	links     map[string]linked       // to images made since the mount, by name
	watched   map[string]watched      // the drafts they were, by name
	made      map[string]bool         // those images
	unsettled []*publish.Attempt      // of which it is not known what became
	became    map[uint64]*former      // what was a draft, by the number of its node
	kept      map[string]*ledger.Line // of links, by name
	tidying   bool
	stopped   bool // no more uploads
	left      bool // to another process
	changed   time.Time
	tally     tally
}

// A linked is what a link in incoming/ points to: an image's directory, or what
// is in it.
type linked struct{ image, path string }

// newIncoming makes what is in incoming/ of what earlier mounts left in dir.
func newIncoming(t *tree, dir string) (*incoming, error) {
	in := &incoming{
		t: t, dir: dir, publisher: publish.New(t.service, dir, t.log), slots: semaphore.NewWeighted(maxUploads), changed: t.started,
		named: make(map[string]*draft), filling: make(map[string]*draft),
		links: make(map[string]linked), watched: make(map[string]watched), made: make(map[string]bool),
		became: make(map[uint64]*former), kept: make(map[string]*ledger.Line),
	}
	in.ctx, in.cancel = context.WithCancelCause(context.Background())
	in.tidyCtx, in.endTidy = context.WithCancel(in.ctx)
	err := cache.PrivateDir(dir)
	if err == nil {
		err = in.load()
	}
	return in, err
}

// isHidden reports whether a name is that of a draft that is not to become an
// image by itself.
func isHidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".tmp")
}

// name returns the name of a draft as it is in incoming/.
func (d *draft) name() string {
	name, _ := unescapeName(d.known().Name)
	return name
}

// find returns what is called name: a draft, or where a link points to.
func (in *incoming) find(name string) (d *draft, l linked, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d = in.named[name]
	l, ok = in.links[name]
	return d, l, ok || d != nil
}

// create makes a draft and opens its bytes.
func (in *incoming) create(name string) (*draft, *os.File, error) {
	if _, _, there := in.find(name); there {
		return nil, nil, iofs.ErrExist
	}
	d, f, err := createDraft(in.dir, about{Name: escapeName(name)})
	if err != nil {
		return nil, nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.named[name] = d
	in.changed = time.Now()
	return d, f, nil
}

// remove discards a draft, with its upload if there is one, or takes away a
// link, which leaves the image alone.
func (in *incoming) remove(name string) error {
	in.mu.Lock()
	d := in.named[name]
	_, ok := in.links[name]
	in.vacate(name)
	in.changed = time.Now()
	in.mu.Unlock()
	switch {
	case d != nil:
		d.discard()
	case !ok:
		return iofs.ErrNotExist
	}
	return nil
}

// vacate takes away what a name means. Called with mu held.
func (in *incoming) vacate(name string) {
	if w := in.watched[name]; w.draft != nil {
		w.mu.Lock()
		w.removed = true
		w.mu.Unlock()
	}
	delete(in.named, name)
	delete(in.links, name)
	delete(in.watched, name)
	in.dropLink(name)
}

// discard removes a draft that has no name any more. Those who have it open
// keep what they have.
func (d *draft) discard() {
	d.mu.Lock()
	d.removed = true
	if d.up != nil {
		d.up.cancel(errDiscarded)
	}
	d.mu.Unlock()
	d.erase()
}

// rename gives what is called old another name. A draft that nobody is writing
// becomes an image if its new name is not hidden, and has its name only then;
// one that is being written becomes one when it is closed.
func (in *incoming) rename(ctx context.Context, old, name string, flags uint32) error {
	if flags&^unix.RENAME_NOREPLACE != 0 {
		return iofs.ErrInvalid
	}
	d, _, ok := in.find(old)
	there, _, taken := in.find(name)
	switch {
	case !ok:
		return iofs.ErrNotExist
	case taken && flags&unix.RENAME_NOREPLACE != 0:
		return iofs.ErrExist
	case there != nil && there.uploading():
		return errBusy
	}
	if d == nil || isHidden(name) || isSidecar(name) {
		return in.move(old, name)
	}
	if givesUp(ctx, old, name) {
		in.t.log.Warn("no image is made; the draft is kept", "name", name, "err", whyPartial)
		return errors.Join(in.move(old, name), d.tell(func(a *about) { a.Error = whyPartial }))
	}
	idle, cancel := context.WithTimeout(ctx, renameGrace)
	defer cancel()
	switch err := d.drained(idle, &d.writers); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return in.move(old, name)
	}
	return finish(ctx, func() (*upload, error) { return in.start(d, &upload{name: name}) })
}

// move is rename but for uploads.
func (in *incoming) move(old, name string) error {
	in.mu.Lock()
	d, there := in.named[old], in.named[name]
	l, ok := in.links[old]
	if d == nil && !ok {
		in.mu.Unlock()
		return iofs.ErrNotExist
	}
	for _, busy := range []*draft{d, there} {
		if busy != nil && busy.uploading() {
			in.mu.Unlock()
			return errBusy
		}
	}
	was, linked := in.links[name]
	in.vacate(old)
	in.vacate(name)
	if d != nil {
		in.named[name] = d
	} else {
		in.links[name] = l
		in.keepLink(name)
	}
	in.changed = time.Now()
	in.mu.Unlock()
	// The new name is on disk before what had it goes; if both are found, the
	// one that was named last has it.
	if d != nil {
		before := d.known()
		if err := d.tell(func(a *about) { a.Name, a.Tried = escapeName(name), "" }); err != nil {
			// The disk does not take it, so nothing has happened, also to what has the name.
			_ = d.tell(func(a *about) { a.Name, a.Tried = before.Name, before.Tried }) // which it has
			in.mu.Lock()
			defer in.mu.Unlock()
			delete(in.named, name)
			in.named[old] = d
			if there != nil {
				in.named[name] = there
			}
			if linked {
				in.links[name] = was
				in.keepLink(name)
			}
			return err
		}
	}
	if there != nil && there != d {
		there.discard()
	}
	if d != nil && isSidecar(name) {
		return in.inspect(d)
	}
	return nil
}

func (d *draft) isRemoved() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.removed
}

func (d *draft) uploading() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.up != nil
}

// sync makes what is known of all drafts survive a loss of power.
func (in *incoming) sync() error {
	in.mu.Lock()
	all := slices.Collect(maps.Values(in.named))
	in.mu.Unlock()
	var errs []error
	for _, d := range all {
		errs = append(errs, d.save(true))
	}
	return errors.Join(errs...)
}

// isMade reports whether an image was made here since the mount.
func (in *incoming) isMade(image string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.made[image]
}
