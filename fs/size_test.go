package fs

import (
	"runtime"
	"testing"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

// heap is how many bytes are in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestSize: an image that is listed and has been looked up takes no more than 1 KiB
// beside its metadata. What other tests have left on the heap can go while it is
// measured, so it is measured again.
func TestSize(t *testing.T) {
	const most = 1 << 10
	for range 3 {
		metadata, catalog, nodes := sizes(t)
		t.Logf("bytes an image: metadata %d, catalog %d, node %d", metadata, catalog, nodes)
		if catalog+nodes-metadata <= most {
			return
		}
	}
	t.Errorf("an image takes more than %d bytes beside its metadata", most)
}

// sizes returns how many bytes of the heap an image takes: by itself, in a catalog
// that has listed it, and as the nodes of its directory.
func sizes(t *testing.T) (metadata, catalog, nodes int) {
	t.Helper()
	const n = 4000
	s := glancetest.New(t)
	for range n {
		s.AddQueued(t, "an image of some name")
	}
	tr := incomingOf(t, s, nil).t

	before := heap()
	var all []glanceapi.Image
	for p, err := range client(t, s).Images(t.Context(), glanceapi.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Images...)
	}
	all = append([]glanceapi.Image(nil), all...)
	metadata = (heap() - before) / n
	runtime.KeepAlive(all)
	all = nil
	s.Reset() // the requests that it counts are on the heap, too

	before = heap()
	w, err := tr.catalog.List(t.Context())
	if err == nil {
		err = w.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Reset()
	catalog = (heap() - before) / n

	before = heap()
	raw := gofs.NewNodeFS(tr.root(), &gofs.Options{RootStableAttr: &gofs.StableAttr{Ino: 1}, ExternalNodeID: true})
	var out fuse.EntryOut
	raw.Lookup(nil, &fuse.InHeader{NodeId: 1}, "images", &out)
	dir := out.NodeId
	for i := range n {
		id, _, err := w.At(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if status := raw.Lookup(nil, &fuse.InHeader{NodeId: dir}, id, &out); !status.Ok() {
			t.Fatal(status)
		}
	}
	nodes = (heap() - before) / n
	runtime.KeepAlive(raw)
	runtime.KeepAlive(tr)
	return metadata, catalog, nodes
}
