package catalog

import (
	"context"
	"sync"
)

// A Walk is one listing of the service's images, newest first, which can be
// read while it still grows. A finished walk never changes.
type Walk struct {
	mu    sync.Mutex
	ids   []string
	seen  map[string]bool
	done  bool
	err   error         // why it ended early
	grown chan struct{} // closed, and replaced, when any of the above changes
}

func newWalk() *Walk {
	return &Walk{seen: make(map[string]bool), grown: make(chan struct{})}
}

// add appends the ids that are new: a walk that had to start over meets those
// it has again.
func (w *Walk) add(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if !w.seen[id] {
			w.seen[id] = true
			w.ids = append(w.ids, id)
		}
	}
	w.changed()
}

// finish ends the walk.
func (w *Walk) finish(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done, w.err = true, err
	w.changed()
}

func (w *Walk) changed() {
	close(w.grown)
	w.grown = make(chan struct{})
}

// At returns the i-th id, waiting for it if need be; ok is false at the end.
func (w *Walk) At(ctx context.Context, i int) (id string, ok bool, err error) {
	for {
		w.mu.Lock()
		n, done, err, grown := len(w.ids), w.done, w.err, w.grown
		if i < n {
			id = w.ids[i]
		}
		w.mu.Unlock()
		if i < n {
			return id, true, nil
		}
		if done {
			return "", false, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
	}
}

// has reports whether id is among those found so far.
func (w *Walk) has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[id]
}

// Search reports whether id is found, in the end.
func (w *Walk) Search(ctx context.Context, id string) (bool, error) {
	for {
		w.mu.Lock()
		found, done, err, grown := w.seen[id], w.done, w.err, w.grown
		w.mu.Unlock()
		if found {
			return true, nil
		}
		if done {
			return false, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// ended reports whether the walk has.
func (w *Walk) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

// len is how many ids were found so far.
func (w *Walk) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids)
}

// Ready reports whether at(i) answers at once.
func (w *Walk) Ready(i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return i < len(w.ids) || w.done
}

// Wait returns when the walk has ended, with its error.
func (w *Walk) Wait(ctx context.Context) error {
	for i := 0; ; i++ {
		if _, ok, err := w.At(ctx, i); !ok {
			return err
		}
	}
}

// amended returns a finished walk with the ids of first before those of w, and
// without those of gone. w must be finished.
func (w *Walk) amended(first []string, gone map[string]bool) *Walk {
	n := newWalk()
	n.add(first...)
	for _, id := range w.ids {
		if !gone[id] && !n.seen[id] {
			n.seen[id] = true
			n.ids = append(n.ids, id)
		}
	}
	n.finish(nil)
	return n
}
