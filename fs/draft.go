package fs

import (
	"context"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"glancefs/fs/disk"
	"glancefs/fs/publish"
	"glancefs/glanceapi"
)

// A draft is a file that is not an image yet: bytes on the disk of the cache,
// and beside them what is known about them. Both outlive the mount;
// docs/formats.md has them.
type draft struct {
	id  string // names its files, and its node
	dir string

	saving sync.Mutex // held while about is written to disk; taken before mu

	mu      sync.Mutex
	about   about
	writes  int             // changes of the bytes under way
	writers int             // openings for writing
	others  map[int]int     // by process with one of these: what others have done to the bytes since; see joined
	before  []int           // processes that had written through what they have open when the process before died
	changed bool            // the bytes are not those that it was made with, none
	fewer   chan struct{}   // closed, and replaced, when there are fewer of either
	up      *upload         // under way: the bytes stay as they are
	image   string          // what it has become, or does just now: they stay for ever
	made    glanceapi.Image // that, as it was made; no image if that was by a process before this one
	fixed   os.FileInfo     // as which they stay
	removed bool            // it is found no more; who has it open keeps it
}

// about is what is kept of a draft beside its bytes.
type about struct {
	Name     string            `json:"name,omitempty"`       // in incoming/, as escapeName writes it
	Image    string            `json:"image,omitempty"`      // or the queued image whose data it is,
	Endpoint string            `json:"endpoint,omitempty"`   // of this service
	Attrs    map[string]string `json:"attributes,omitempty"` // keys of meta.json and properties
	Tried    string            `json:"tried,omitempty"`      // image that was made of it as it is, if it did not end well
	Error    string            `json:"error,omitempty"`      // why it is no image yet, once that was tried
	Damaged  bool              `json:"damaged,omitempty"`    // the disk has lost some of its bytes
}

// Names of a draft's files, behind its id.
const (
	draftSuffix = ".data"
	aboutSuffix = ".json"
)

func newDraft(dir, id string, a about) *draft {
	return &draft{id: id, dir: dir, about: a, fewer: make(chan struct{})}
}

// identity is that of its file in incoming/.
func (d *draft) identity() identity { return identity{"draft", d.id} }

// createDraft makes a draft without bytes on disk, and opens these.
func createDraft(dir string, a about) (*draft, *os.File, error) {
	d := newDraft(dir, publish.NewUUID(), a)
	f, err := os.OpenFile(d.path(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, ofTheDisk(err)
	}
	if err := d.save(false); err != nil {
		f.Close()
		d.erase()
		return nil, nil, ofTheDisk(err)
	}
	return d, f, nil
}

// path is where the bytes are.
func (d *draft) path() string { return filepath.Join(d.dir, d.id+draftSuffix) }

// openFile opens the bytes. It returns nil for those that are the cache's by now.
func (d *draft) openFile() (*os.File, error) {
	f, err := os.OpenFile(d.path(), os.O_RDWR, 0)
	switch {
	case !errors.Is(err, iofs.ErrNotExist):
	case d.fixedAs() != nil:
		return nil, nil
	case d.isRemoved():
		return nil, errLost // has the kernel look the name up once more
	}
	return f, ofTheDisk(err)
}

// erase removes the files of d, its bytes first: who finds only what is known of
// them removes that. What cannot be removed is found at the next start.
func (d *draft) erase() {
	for _, suffix := range []string{draftSuffix, aboutSuffix} {
		os.Remove(filepath.Join(d.dir, d.id+suffix))
	}
}

// tell changes what is known about d, and keeps it. If it cannot be kept it is
// known all the same, as long as this process runs. Maps are to be replaced.
func (d *draft) tell(change func(*about)) error {
	d.mu.Lock()
	change(&d.about)
	d.mu.Unlock()
	return d.save(false)
}

// save writes what is known about d in place of what was there, or leaves that.
// durable is for the power to go off.
func (d *draft) save(durable bool) error {
	d.saving.Lock()
	defer d.saving.Unlock()
	d.mu.Lock()
	b, err := json.Marshal(d.about)
	gone := d.removed || d.image != "" // its bytes are not here any more
	d.mu.Unlock()
	if err != nil || gone {
		return err
	}
	return disk.Replace(filepath.Join(d.dir, d.id+aboutSuffix), durable, disk.All(b))
}

// sync makes d as it is now survive the power. f is its bytes.
func (d *draft) sync(f *os.File) error {
	err := f.Sync()
	if err != nil {
		d.mu.Lock()
		d.about.Damaged = true
		d.mu.Unlock()
	}
	return errors.Join(err, d.save(true))
}

// known returns what is known about d.
func (d *draft) known() about {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.about
}

// begin lets a process begin a change of the bytes, until end, unless they are on their
// way to become an image, or have.
func (d *draft) begin(process int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.changeable(); err != nil {
		return err
	}
	d.writes++
	d.changed, d.about.Tried = true, ""
	for p, done := range d.others {
		if p != process {
			d.others[p] = max(done, changed)
		}
	}
	return nil
}

// end undoes begin.
func (d *draft) end() { d.less(&d.writes) }

// fixedAs returns what the bytes are like while they cannot be changed.
func (d *draft) fixedAs() os.FileInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fixed
}

// isImage reports whether the bytes are those of an image.
func (d *draft) isImage() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image != ""
}

// changeable tells why the bytes cannot be changed, if they cannot. Called with
// mu held.
func (d *draft) changeable() error {
	switch {
	case d.image != "":
		return errReadOnly
	case d.up != nil:
		return errBusy
	}
	return nil
}

// enter counts an opening for writing by a process, until leave.
func (d *draft) enter(process int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.changeable(); err != nil {
		return err
	}
	d.joined(process)
	return nil
}

// joined is enter for what can always be changed. If several processes have a draft
// open for writing at a time, what it has when one of them closes it is what that one
// has written only if no other has changed it since. A process that sets the length to
// nothing begins anew. Called with mu held.
func (d *draft) joined(process int) {
	if d.writers == 0 {
		d.others = make(map[int]int)
	}
	d.writers++
	if _, ok := d.others[process]; !ok {
		d.others[process] = nothing
	}
}

// rejoined is joined for an opening of the process before, which knew who had changed the
// bytes last. It is taken that everybody else has who had written something.
func (d *draft) rejoined(process int, wrote bool) {
	d.joined(process)
	if wrote {
		d.before = append(d.before, process)
	}
	for p, done := range d.others {
		if slices.ContainsFunc(d.before, func(writer int) bool { return writer != p }) {
			d.others[p] = max(done, changed)
		}
	}
}

// What other processes have done to the bytes that one has written.
const (
	nothing = iota
	changed
	cleared // there is nothing left of them
)

// begunAnew notes that a process has set the length to nothing. Called with mu held.
func (d *draft) begunAnew(process int) {
	for p := range d.others {
		d.others[p] = cleared
		if p == process {
			d.others[p] = nothing
		}
	}
}

// leave undoes enter.
func (d *draft) leave() { d.less(&d.writers) }

func (d *draft) less(count *int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*count--
	close(d.fewer)
	d.fewer = make(chan struct{})
}

// drained waits until none of what count counts is left, or ctx ends.
func (d *draft) drained(ctx context.Context, count *int) error {
	for {
		d.mu.Lock()
		n, fewer := *count, d.fewer
		d.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-fewer:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
