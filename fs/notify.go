package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A notice is an entry of a directory of the top level, or of every directory in
// that, which the kernel is to look up anew although it may rely on it for a while
// yet.
type notice struct {
	dir, name string
	below     bool
}

// maxNotices is how many wait to be told. More are dropped: the kernel then
// relies on what it has for as long as it was told that it may.
const maxNotices = 64

// stale has the kernel told of an entry that means something else now. It never
// waits: the kernel may take the notice only once it has the answer to what we
// are doing.
func (t *tree) stale(dir, name string) { t.tell(notice{dir: dir, name: name}) }

// staleBelow does so of entries of the directories in one.
func (t *tree) staleBelow(dir, name string) { t.tell(notice{dir, name, true}) }

func (t *tree) tell(n notice) {
	select {
	case t.notices <- n:
	default:
	}
}

// notify tells the kernel, until ctx ends.
func (t *tree) notify(ctx context.Context, kernel *fuse.Server) {
	for {
		select {
		case n := <-t.notices:
			for _, dir := range n.dirs(t) {
				kernel.EntryNotify(dir, n.name) // that there is nothing to forget is no failure
			}
		case <-ctx.Done():
			return
		}
	}
}

// dirs are the numbers of the directories of a notice that the kernel may know.
func (n notice) dirs(t *tree) []uint64 {
	if n.below {
		return t.nodes.all(n.dir)
	}
	return []uint64{identity{"top", n.dir}.number()}
}
