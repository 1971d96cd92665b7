package fs

import (
	"bytes"
	"context"

	"github.com/prometheus/common/expfmt"

	"glancefs/cache"
	"glancefs/fs/metadata"
)

// Status is the schema of .glancefs/status.json.
type Status struct {
	Endpoint   string         `json:"endpoint"`
	APIVersion string         `json:"api_version"`
	Answers    bool           `json:"answers"` // the service did, when it was last asked
	Cache      CacheStatus    `json:"cache"`
	Uploads    []UploadStatus `json:"uploads"` // of all drafts
	Upkeep     Upkeep         `json:"process"`
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
		Endpoint: t.service.Endpoint(), APIVersion: t.service.Version(), Answers: t.catalog.Answers(),
		Cache: CacheStatus{Dir: t.cacheDir, Size: c.Size, Used: c.Used, Images: c.Blobs, Runs: c.Runs,
			Corrupt: c.Corrupt, Mismatched: append([]cache.Key{}, t.store.Mismatches()...)},
		Uploads: t.incoming.status(), Upkeep: *t.upkeep.Load(),
	}
	if f := t.lastError.Load(); f != nil {
		s.LastError = &LastError{f.doing, f.reason}
	}
	return metadata.Encode(s)
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
