package fs

import (
	"context"
	"maps"

	"glancefs/fs/proc"
)

// A watched draft has become an image, and whoever closed it still runs. To that
// process it stays the file that it wrote: programs look at what they have just
// written by its name, and set times and modes on it, which some refuse to do
// to a link. To everybody else the name is a link at once.
type watched struct {
	*draft
	process int
	started string
}

// watch is of a draft that a process has closed.
func watch(d *draft, process int) watched {
	return watched{d, process, proc.StatOf(process).Started()}
}

// stillOf returns the draft that name still is to who asks.
func (in *incoming) stillOf(ctx context.Context, name string) *draft {
	in.mu.Lock()
	w, ok := in.watched[name]
	in.mu.Unlock()
	if !ok {
		return nil
	}
	if _, process := caller(ctx); process != w.process || w.over() {
		return nil
	}
	return w.draft
}

// over reports whether the process has ended.
func (w watched) over() bool { return w.started == "" || proc.StatOf(w.process).Started() != w.started }

// unwatch forgets the drafts whose processes have ended.
func (in *incoming) unwatch() {
	in.mu.Lock()
	all := maps.Clone(in.watched)
	in.mu.Unlock()
	for name, w := range all {
		if w.over() {
			in.mu.Lock()
			if in.watched[name] == w {
				delete(in.watched, name)
			}
			in.mu.Unlock()
		}
	}
}
