package fs

import (
	"context"

	gofs "github.com/hanwen/go-fuse/v2/fs"
)

// A notice is an entry of a directory of the top level that the kernel is to
// look up anew although it may rely on it for a while yet.
type notice struct{ dir, name string }

// maxNotices is how many wait to be told. More are dropped: the kernel then
// relies on what it has for as long as it was told that it may.
const maxNotices = 64

// stale has the kernel told of an entry that means something else now. It never
// waits: the kernel may take the notice only once it has the answer to what we
// are doing.
func (t *tree) stale(dir, name string) {
	select {
	case t.notices <- notice{dir, name}:
	default:
	}
}

// notify tells the kernel, until ctx ends.
func (t *tree) notify(ctx context.Context, root *gofs.Inode) {
	for {
		select {
		case n := <-t.notices:
			if dir := root.GetChild(n.dir); dir != nil {
				dir.NotifyEntry(n.name) // that there is nothing to forget is no failure
			}
		case <-ctx.Done():
			return
		}
	}
}
