package integration

import (
	"path/filepath"
	"testing"
)

// memory has 64 readers read 64 images at once, over connections so slow that
// all are under way all the time, and reports the most memory that glancefs
// took.
func (r *benchRun) memory(b *testing.B) {
	const images, size = 64, 16 << 20
	var ids []string
	for range images {
		ids = append(ids, r.origin.add(b, "disk", size))
	}
	l := Link{Name: "5MBps", Rate: 5e6}
	r.origin.link(b, l)
	cell := &Cell{Scenario: "Memory", Link: l, Tool: "glancefs", Image: size, Payload: images * size}
	for b.Loop() {
		g := openGlancefs(b, r.origin, ids[0])
		r.origin.counts(b)
		var argv [][]string
		for _, id := range ids {
			argv = append(argv, sequential(reading{opened: &opened{target: filepath.Join(g.target, "../..", id, "data")}}))
		}
		took, cpu, err := runReaders(argv, 0)
		if err != nil {
			b.Fatal(err)
		}
		used, err := g.usage()
		if err != nil {
			b.Fatal(err)
		}
		sent := r.origin.counts(b)
		g.close()
		cell.Samples = append(cell.Samples, Sample{Time: took, Reader: cpu, Daemon: used.cpu, Peak: used.peak, Bytes: sent.Bytes, Requests: sent.Requests})
	}
	r.report.Cells = append(r.report.Cells, cell)
	b.ReportMetric(cell.time(), "ns/op")
	b.ReportMetric(cell.median(func(s Sample) float64 { return float64(s.Peak) })/(1<<20), "peak-MiB")
	b.ReportMetric(cell.median(func(s Sample) float64 { return float64(s.Bytes) })/float64(cell.Payload), "sent")
}
