package fs

import (
	"runtime"
	"testing"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestSize(t *testing.T) {
	const n = 20000
	s := glancetest.New(t)
	s.AddN(t, n)
	in := incomingOf(t, s, nil)
	tr := in.t
	tr.catalog.refresh = time.Hour
	c := client(t, s)
	h0 := heap()
	var all []glanceapi.Image
	for p, err := range c.Images(t.Context(), glanceapi.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Images...)
	}
	h1 := heap()
	runtime.KeepAlive(all)
	all = nil
	s.Reset()
	h2 := heap()
	ids := ids(t, tr.catalog)
	s.Reset()
	h3 := heap()
	root := tr.root()
	raw := gofs.NewNodeFS(root, &gofs.Options{RootStableAttr: &gofs.StableAttr{Ino: 1}, ExternalNodeID: true})
	var out fuse.EntryOut
	raw.Lookup(nil, &fuse.InHeader{NodeId: 1}, "images", &out)
	dir := out.NodeId
	for _, id := range ids {
		if st := raw.Lookup(nil, &fuse.InHeader{NodeId: dir}, id, &out); !st.Ok() {
			t.Fatal(st)
		}
	}
	h4 := heap()
	t.Logf("metadata %d, catalog %d, nodes %d", (h1-h0)/n, (h3-h2)/n, (h4-h3)/n)
	runtime.KeepAlive(raw)
	runtime.KeepAlive(tr)
}
