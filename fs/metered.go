package fs

import (
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// operationBuckets are bounds in seconds, from what the kernel takes by itself
// to what a reader bears.
var operationBuckets = []float64{50e-6, 200e-6, 1e-3, 5e-3, 20e-3, 100e-3, 500e-3, 2, 10, 60}

// metered counts and times what the kernel asks, and otherwise leaves it as it
// is. What the kernel does by itself, reads that are passed through among it, is
// not seen here.
type metered struct {
	fuse.RawFileSystem
	took    *prometheus.HistogramVec // by operation
	failed  *prometheus.CounterVec   // by operation and errno
	running atomic.Int64
	closed  atomic.Bool // nothing begins any more
	sealed  atomic.Bool // nor ends
}

func newMetered(raw fuse.RawFileSystem, reg *prometheus.Registry) *metered {
	m := &metered{
		RawFileSystem: raw,
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "glancefs_fuse_operation_duration_seconds", Help: "How long requests of the kernel took, by operation.",
			Buckets: operationBuckets,
		}, []string{"operation"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "glancefs_fuse_errors_total", Help: "Requests of the kernel answered with an error, by operation and error.",
		}, []string{"operation", "error"}),
	}
	reg.MustRegister(m.took, m.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "glancefs_fuse_operations_in_flight", Help: "Requests of the kernel that are yet to be answered.",
	}, func() float64 { return float64(m.running.Load()) }))
	return m
}

// begin notes the start of a request, and returns when that was; of a request that
// is for the next process it does not return.
func (m *metered) begin() time.Time {
	m.running.Add(1)
	if m.closed.Load() {
		m.running.Add(-1)
		select {}
	}
	return time.Now()
}

// close leaves what comes from now on to the next process, and waits a while for
// what is under way. From seal on that is not answered either: the kernel asks the
// next process all of it.
func (m *metered) close(limit time.Duration) {
	m.closed.Store(true)
	for end := time.Now().Add(limit); m.running.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	m.sealed.Store(true)
}

// end notes the end of a request. It allocates nothing for one that succeeds.
func (m *metered) end(operation string, begun time.Time, st fuse.Status) {
	if m.sealed.Load() {
		select {}
	}
	m.running.Add(-1)
	m.took.WithLabelValues(operation).Observe(time.Since(begun).Seconds())
	if st != fuse.OK {
		m.failed.WithLabelValues(operation, unix.ErrnoName(syscall.Errno(st))).Inc()
	}
}
