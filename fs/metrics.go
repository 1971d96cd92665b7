package fs

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"glancefs/cache"
	"glancefs/glanceapi"
)

// Metrics are the mount's, as .glancefs/stats shows them.
func (m *Mount) Metrics() prometheus.Gatherer { return m.tree.metrics }

// newMetrics makes the registry of a mount's metrics, which are read from the
// counters that cache, client and uploads keep anyway. docs/metrics.md has them
// all.
func newMetrics(t *tree, version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "glancefs_build_info", Help: "1, with the version of glancefs.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	reg.MustRegister(info, responses{t.service})
	counter(reg, "glancefs_restarts_total", "How often another process has gone on with the mount.", func() int64 {
		return int64(t.upkeep.Load().Restarts)
	})
	gauge(reg, "glancefs_nodes", "Files and directories that the kernel knows.", func() float64 { return float64(t.nodes.len()) })
	addCacheMetrics(reg, t.store)
	addServiceMetrics(reg, t)
	addUploadMetrics(reg, t.incoming)
	return reg
}

func counter(reg *prometheus.Registry, name, help string, value func() int64) {
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
}

func gauge(reg *prometheus.Registry, name, help string, value func() float64) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func addCacheMetrics(reg *prometheus.Registry, store *cache.Store) {
	type stats = cache.Stats
	count := func(name, help string, value func(stats) int64) {
		counter(reg, name, help, func() int64 { return value(store.Stats()) })
	}
	level := func(name, help string, value func(stats) int64) {
		gauge(reg, name, help, func() float64 { return float64(value(store.Stats())) })
	}
	count("glancefs_read_bytes_total", "Image bytes given to readers.", func(s stats) int64 { return s.Read })
	count("glancefs_fetched_bytes_total", "Image bytes received from the image service.", func(s stats) int64 { return s.Fetched })
	count("glancefs_cache_hits_total", "Reads whose bytes were all in the cache.", func(s stats) int64 { return s.Hits })
	count("glancefs_cache_misses_total", "Reads that had to wait for the image service.", func(s stats) int64 { return s.Misses })
	count("glancefs_cache_filled_blocks_total", "Blocks of 64 KiB that were fetched and written to the cache.", func(s stats) int64 { return s.Filled })
	count("glancefs_evicted_bytes_total", "Image bytes dropped from the cache to hold its size.", func(s stats) int64 { return s.Evicted })
	count("glancefs_corrupt_blocks_total", "Blocks the cache disk returned other than they were written.", func(s stats) int64 { return s.Corrupt })
	count("glancefs_cache_write_errors_total", "Writes the cache disk did not take.", func(s stats) int64 { return s.Refused })
	count("glancefs_mismatched_images_total", "Times a whole image did not match its checksum.", func(s stats) int64 { return s.Mismatched })
	count("glancefs_streams_total", "Streams of image data begun.", func(s stats) int64 { return s.Streams })
	count("glancefs_streams_broken_total", "Streams of image data that ended early.", func(s stats) int64 { return s.Broken })
	level("glancefs_streams", "Streams of image data under way.", func(s stats) int64 { return s.Runs })
	level("glancefs_cache_used_bytes", "Image bytes in the cache.", func(s stats) int64 { return s.Used })
	level("glancefs_cache_size_bytes", "What the cache may hold.", func(s stats) int64 { return s.Size })
	level("glancefs_cache_images", "Images of which bytes are in the cache.", func(s stats) int64 { return s.Blobs })
}

func addServiceMetrics(reg *prometheus.Registry, t *tree) {
	type stats = glanceapi.Stats
	count := func(name, help string, value func(stats) int64) {
		counter(reg, name, help, func() int64 { return value(t.service.Stats()) })
	}
	count("glancefs_metadata_requests_total", "Requests to the image service, but for image data.", func(s stats) int64 { return s.MetadataRequests })
	count("glancefs_data_requests_total", "Requests for image data.", func(s stats) int64 { return s.DataRequests })
	count("glancefs_request_failures_total", "Requests without the answer asked for, and streams cut short.", func(s stats) int64 { return s.Failures })
	count("glancefs_request_retries_total", "Metadata requests sent again.", func(s stats) int64 { return s.Retries })
	count("glancefs_received_bytes_total", "Bytes of the answers of the image service.", func(s stats) int64 { return s.BytesReceived })
	count("glancefs_sent_bytes_total", "Image bytes sent to the image service, repetitions included.", func(s stats) int64 { return s.BytesSent })
	count("glancefs_reauthentications_total", "Tokens replaced before their time.", func(s stats) int64 { return s.Reauthentications })
	gauge(reg, "glancefs_service_up", "1 if the image service has answered what it was asked last, else 0.", func() float64 {
		if t.catalog.Answers() {
			return 1
		}
		return 0
	})
	gauge(reg, "glancefs_token_expiry_timestamp_seconds", "When the token in use ends, in seconds since 1970; 0 if that is not known.", func() float64 {
		return seconds(t.service.TokenExpires())
	})
}

// seconds since 1970; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func addUploadMetrics(reg *prometheus.Registry, in *incoming) {
	count := func(name, help string, value func(tally) int64) {
		counter(reg, name, help, func() int64 { return value(in.count()) })
	}
	count("glancefs_uploads_total", "Drafts that have become images.", func(t tally) int64 { return t.done })
	count("glancefs_upload_failures_total", "Drafts that were to become images and have not.", func(t tally) int64 { return t.failed })
	count("glancefs_uploaded_bytes_total", "Bytes of the drafts that have become images.", func(t tally) int64 { return t.bytes })
	gauge(reg, "glancefs_drafts", "Files in incoming/ that are no image.", func() float64 { return float64(len(in.status())) })
}

// responses are the answers of the image service, by status.
type responses struct{ service describer }

var responsesDesc = prometheus.NewDesc("glancefs_responses_total", "Answers of the image service, by HTTP status.", []string{"code"}, nil)

// Describe is as prometheus.Collector has it.
func (r responses) Describe(d chan<- *prometheus.Desc) { d <- responsesDesc }

// Collect is as prometheus.Collector has it.
func (r responses) Collect(c chan<- prometheus.Metric) {
	for status, n := range r.service.Stats().Answers {
		c <- prometheus.MustNewConstMetric(responsesDesc, prometheus.CounterValue, float64(n), strconv.Itoa(status))
	}
}
