package fs

import (
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/prometheus/client_golang/prometheus"
)

// silent answers every read with nothing.
type silent struct{ fuse.RawFileSystem }

func (silent) Read(<-chan struct{}, *fuse.ReadIn, []byte) (fuse.ReadResult, fuse.Status) {
	return nil, fuse.OK
}

// TestMeteredAllocates nothing for a read: it is on the way of every one.
func TestMeteredAllocates(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetered(silent{fuse.NewDefaultRawFileSystem()}, reg)
	in := &fuse.ReadIn{}
	if n := testing.AllocsPerRun(1000, func() { m.Read(nil, in, nil) }); n != 0 {
		t.Errorf("%v allocations a read", n)
	}
	if st := m.Unlink(nil, &fuse.InHeader{}, "x"); st != fuse.ENOSYS {
		t.Errorf("unlink: %v", st)
	}
	if n := m.running.Load(); n != 0 {
		t.Errorf("%d requests are left", n)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var failed float64
	for _, f := range families {
		if f.GetName() == "glancefs_fuse_errors_total" {
			for _, m := range f.GetMetric() {
				if m.GetLabel()[0].GetValue() == "ENOSYS" && m.GetLabel()[1].GetValue() == "unlink" {
					failed = m.GetCounter().GetValue()
				}
			}
		}
	}
	if failed != 1 {
		t.Errorf("%v errors of unlink counted, want 1", failed)
	}
}

func BenchmarkMetered(b *testing.B) {
	m := newMetered(silent{fuse.NewDefaultRawFileSystem()}, prometheus.NewRegistry())
	in := &fuse.ReadIn{}
	for b.Loop() {
		m.Read(nil, in, nil)
	}
}
