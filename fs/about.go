package fs

import (
	"bytes"
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"glancefs/cache"
	"glancefs/glanceapi"
)

// Status is the schema of .glancefs/status.json.
type Status struct {
	Endpoint   string         `json:"endpoint"`
	APIVersion string         `json:"api_version"`
	Cache      CacheStatus    `json:"cache"`
	Uploads    []UploadStatus `json:"uploads"` // of all drafts
	LastError  *LastError     `json:"last_error"`
}

// CacheStatus is how the cache is doing.
type CacheStatus struct {
	Dir    string `json:"dir"`
	Size   int64  `json:"size_bytes"` // the budget
	Used   int64  `json:"used_bytes"`
	Images int64  `json:"images"`
	Runs   int64  `json:"fetching"` // streams of image data under way

	Corrupt    int64       `json:"corrupt_blocks"` // that the disk returned other than written, since the mount
	Mismatched []cache.Key `json:"not_matching"`   // what the service sends other than its checksum says
}

// LastError is the last error a user saw as EIO, and what it was about.
type LastError struct {
	Doing  string `json:"doing"`
	Reason string `json:"reason"`
}

// about is the view of .glancefs.
func (t *tree) about() fixed {
	file := func(name string, render func() ([]byte, error)) func() child {
		return func() child {
			return &text{
				node: node{t: t}, kind: "about", of: name,
				render:  func(context.Context) ([]byte, error) { return render() },
				size:    func() int { b, _ := render(); return len(b) },
				changed: t.since,
			}
		}
	}
	return fixed{
		{"stats", file("stats", t.counters)},
		{"status.json", file("status.json", t.status)},
	}
}

func (t *tree) status() ([]byte, error) {
	c := t.store.Stats()
	s := Status{
		Endpoint: t.service.Endpoint(), APIVersion: t.service.Version(),
		Cache: CacheStatus{Dir: t.cacheDir, Size: c.Size, Used: c.Used, Images: c.Blobs, Runs: c.Runs,
			Corrupt: c.Corrupt, Mismatched: append([]cache.Key{}, t.store.Mismatches()...)},
		Uploads: t.incoming.status(),
	}
	if f := t.lastError.Load(); f != nil {
		s.LastError = &LastError{f.doing, f.reason}
	}
	return encodeJSON(s)
}

// counters are the mount's metrics in Prometheus' text format.
func (t *tree) counters() ([]byte, error) {
	families, err := t.metrics.Gather()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// newMetrics makes the registry of a mount's metrics, which are read from the
// counters that cache and client keep anyway.
func newMetrics(store *cache.Store, s describer, in *incoming) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	add := func(name, help string, value func(cache.Stats, glanceapi.Stats) int64, gauge bool) {
		read := func() float64 { return float64(value(store.Stats(), s.Stats())) }
		if gauge {
			reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
		} else {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
		}
	}
	type (
		c = cache.Stats
		g = glanceapi.Stats
	)
	add("glancefs_read_bytes_total", "Image bytes given to readers.", func(c c, _ g) int64 { return c.Read }, false)
	add("glancefs_fetched_bytes_total", "Image bytes received from the image service.", func(c c, _ g) int64 { return c.Fetched }, false)
	add("glancefs_evicted_bytes_total", "Image bytes dropped from the cache to hold its size.", func(c c, _ g) int64 { return c.Evicted }, false)
	add("glancefs_corrupt_blocks_total", "Blocks the cache disk returned other than they were written.", func(c c, _ g) int64 { return c.Corrupt }, false)
	add("glancefs_cache_write_errors_total", "Writes the cache disk did not take.", func(c c, _ g) int64 { return c.Refused }, false)
	add("glancefs_mismatched_images_total", "Times a whole image did not match its checksum.", func(c c, _ g) int64 { return c.Mismatched }, false)
	add("glancefs_streams_total", "Streams of image data begun.", func(c c, _ g) int64 { return c.Streams }, false)
	add("glancefs_streams_broken_total", "Streams of image data that ended early.", func(c c, _ g) int64 { return c.Broken }, false)
	add("glancefs_streams", "Streams of image data under way.", func(c c, _ g) int64 { return c.Runs }, true)
	add("glancefs_cache_used_bytes", "Image bytes in the cache.", func(c c, _ g) int64 { return c.Used }, true)
	add("glancefs_cache_size_bytes", "What the cache may hold.", func(c c, _ g) int64 { return c.Size }, true)
	add("glancefs_metadata_requests_total", "Requests to the image service, but for image data.", func(_ c, g g) int64 { return g.MetadataRequests }, false)
	add("glancefs_data_requests_total", "Requests for image data.", func(_ c, g g) int64 { return g.DataRequests }, false)
	add("glancefs_request_failures_total", "Requests without the answer asked for, and streams cut short.", func(_ c, g g) int64 { return g.Failures }, false)
	add("glancefs_request_retries_total", "Metadata requests sent again.", func(_ c, g g) int64 { return g.Retries }, false)
	add("glancefs_reauthentications_total", "Tokens replaced before their time.", func(_ c, g g) int64 { return g.Reauthentications }, false)
	uploads := func(name, help string, value func(tally) int64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(in.count())) }))
	}
	uploads("glancefs_uploads_total", "Drafts that have become images.", func(t tally) int64 { return t.done })
	uploads("glancefs_upload_failures_total", "Drafts that were to become images and have not.", func(t tally) int64 { return t.failed })
	uploads("glancefs_uploaded_bytes_total", "Bytes of the drafts that have become images.", func(t tally) int64 { return t.bytes })
	return reg
}
