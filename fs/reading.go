package fs

import (
	"context"
	"slices"
	"strconv"
	"sync"
)

const (
	// maxReadings and maxRead, in bytes, bound what is remembered of who has
	// read what. What is forgotten costs a writer an error, never a change.
	maxReadings = 1024
	maxRead     = 4 << 20
)

// A process is who does something, and who started it.
type process struct{ id, parent int }

// who returns the process behind a request, while that is being answered.
func who(ctx context.Context) process {
	thread, id := caller(ctx)
	if id == 0 {
		return process{}
	}
	parent, _ := strconv.Atoi(statusLine(thread, "PPid"))
	return process{id, parent}
}

// is reports whether both are the same process, as far as can be told.
func (p process) is(q process) bool { return p.id != 0 && p.id == q.id }

// kin reports whether one has started the other, or somebody both, as a script
// does with the program that reads a file and the one that writes it.
func (p process) kin(q process) bool {
	return p.is(q) || p.id != 0 && p.id == q.parent || q.id != 0 && q.id == p.parent || p.parent > 1 && p.parent == q.parent
}

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

// newest returns the newest version of a file with a stamp that ok.
func (r *readings) newest(of string, stamp []byte, ok func(reading) bool) document {
	r.mu.Lock()
	all := slices.Clone(r.all)
	r.mu.Unlock()
	for _, a := range slices.Backward(all) {
		if a.of != of || !ok(a) {
			continue
		}
		if d, err := object(a.text); err == nil && same(d["updated_at"], stamp) {
			return d
		}
	}
	return nil
}

// base returns what a process has made d of: by the stamp, the version that it has
// read or written last, that its kin or else somebody has read, or now, which is
// what would be read at present; nil if it is none of these. own says that it was
// the process itself.
func (r *readings) base(of string, by process, d, now document) (found document, own bool) {
	stamp := d["updated_at"]
	if v := r.newest(of, stamp, func(a reading) bool { return by.is(a.by) }); v != nil {
		return v, true
	}
	if v := r.newest(of, stamp, func(a reading) bool { return !a.wrote && by.kin(a.by) }); v != nil {
		return v, false
	}
	if same(now["updated_at"], stamp) {
		return now, false
	}
	return r.newest(of, stamp, func(a reading) bool { return !a.wrote }), false
}
