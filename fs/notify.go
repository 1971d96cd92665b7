package fs

import (
	"context"

	"glancefs/cache"
	"glancefs/fs/herald"
)

// A notice is an entry of a directory of the top level, or of every directory of
// images that were found somehow, which the kernel is to look up anew although it may
// rely on it for a while yet; or a blob, of which it is to forget what it has read.
type notice struct {
	dir, name string
	found     bool
	blob      cache.Key
}

// maxNotices is how many wait to be told. More are dropped: the kernel then
// relies on what it has for as long as it was told that it may.
const maxNotices = 64

// stale has the kernel told of an entry that means something else now. It never
// waits: the kernel may take the notice only once it has the answer to what we
// are doing.
func (t *tree) stale(dir, name string) { t.tell(notice{dir: dir, name: name}) }

// staleName does so of the entry of a name in by-name/, if it has one.
func (t *tree) staleName(name string) {
	if entry, ok := plainEntry(name, t.idSuffix()); ok {
		t.stale("by-name", entry)
	}
}

// staleFound does so of an image wherever it was found, in query/ and by-member/.
func (t *tree) staleFound(id string) { t.tell(notice{name: id, found: true}) }

// wrong has the kernel told that what it has read of a blob did not match.
func (t *tree) wrong(blob cache.Key) { t.tell(notice{blob: blob}) }

func (t *tree) tell(n notice) {
	select {
	case t.notices <- n:
	default:
	}
}

// notify tells the kernel, until ctx ends.
func (t *tree) notify(ctx context.Context, kernel *herald.Herald) {
	defer kernel.Close()
	for {
		select {
		case n := <-t.notices:
			for _, dir := range n.dirs(t) {
				kernel.Entry(ctx, dir, n.name)
			}
			for _, file := range n.files(t) {
				kernel.File(ctx, file)
			}
		case <-ctx.Done():
			return
		}
	}
}

// dirs are the numbers of the directories of a notice that the kernel may know.
func (n notice) dirs(t *tree) []uint64 {
	switch {
	case n.blob != "":
		return nil
	case n.found:
		return append(t.nodes.all("query"), t.nodes.all("by-member")...)
	}
	return []uint64{identity{"top", n.dir}.number()}
}

// files are the numbers of the nodes that were opened with the blob of a notice.
func (n notice) files(t *tree) (numbers []uint64) {
	if n.blob == "" {
		return nil
	}
	for number, d := range t.data.Range {
		if d.(*imageData).isOf(n.blob) {
			numbers = append(numbers, number.(uint64))
		}
	}
	return numbers
}

// isOf reports whether the file was opened with a blob.
func (d *imageData) isOf(blob cache.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.line != nil && d.t.blobKey(d.image) == blob
}
