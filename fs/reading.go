package fs

import (
	"slices"
	"sync"

	"glancefs/fs/metadata"
)

const (
	// maxReadings and maxRead, in bytes, bound what is remembered of who has
	// read what. What is forgotten costs a writer an error, never a change.
	maxReadings = 1024
	maxRead     = 4 << 20
)

// A reading is one version of a file that a process was given, or wrote.
type reading struct {
	of    string
	by    process
	wrote bool
	text  []byte
}

// readings remember the last of them.
//
// The image service has no check for other writers, so a file that was changed
// must be compared with what its writer has read, which may be old by now: what
// others have changed since is not to be undone. Files carry no mark of that but
// updated_at, which counts whole seconds; so it also matters who has read them.
type readings struct {
	mu   sync.Mutex
	all  []reading // the oldest first
	size int       // of all texts
}

// add remembers a version of a file.
func (r *readings) add(a reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, a)
	r.size += len(a.text)
	for len(r.all) > maxReadings || r.size > maxRead {
		r.size -= len(r.all[0].text)
		r.all[0] = reading{}
		r.all = r.all[1:]
	}
}

// versions returns the versions of a file that have a stamp and are ok, the newest
// first, each once.
func (r *readings) versions(of string, stamp []byte, ok func(reading) bool) (all []metadata.Document) {
	r.mu.Lock()
	kept := slices.Clone(r.all)
	r.mu.Unlock()
	seen := map[string]bool{}
	for _, a := range slices.Backward(kept) {
		if a.of != of || !ok(a) || seen[string(a.text)] {
			continue
		}
		seen[string(a.text)] = true
		if d, err := metadata.Parse(a.text); err == nil && metadata.Same(d["updated_at"], stamp) {
			all = append(all, d)
		}
	}
	return all
}

// base returns what a process has made d of, by its stamp; nil if that cannot be
// told. A process that does one thing after the other has made it of the version it
// has read or written last, which is sure. In all other cases several versions with
// that stamp may have been on their way at once: it is the one that d differs from
// least, of those that the process has read or written, or its kin has read, or
// else anybody, or now, which is what would be read at present.
func (r *readings) base(of string, by process, d, now metadata.Document) (found metadata.Document, sure bool) {
	stamp := d["updated_at"]
	own := r.versions(of, stamp, func(a reading) bool { return by.is(a.by) })
	if len(own) > 0 {
		if by.alone {
			return own[0], true
		}
		return d.Nearest(own), false
	}
	kin := r.versions(of, stamp, func(a reading) bool { return !a.wrote && by.kin(a.by) })
	if len(kin) > 0 {
		return d.Nearest(kin), false
	}
	all := r.versions(of, stamp, func(a reading) bool { return !a.wrote })
	if metadata.Same(now["updated_at"], stamp) {
		all = append([]metadata.Document{now}, all...)
	}
	return d.Nearest(all), false
}
