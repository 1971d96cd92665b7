package integration

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// uploadSize is of the file that is copied.
const uploadSize = 1 << 30

// BenchmarkUpload copies a file into incoming/, until close returns, against curl
// -T of the same file to an image that has been made before, on a server of ours
// and on Glance. Each round does both, and begins with another one; images and
// caches are removed in between. Reported are medians: the time of cp, and how
// many times that of curl it is (x_curl).
func BenchmarkUpload(b *testing.B) {
	require(b)
	if err := linkPrograms(); err != nil && !errors.Is(err, os.ErrExist) { // another benchmark has
		b.Fatal(err)
	}
	for name, service := range map[string]func(*testing.B) string{
		"origin": func(b *testing.B) string { return startOrigin(b).URL },
		"glance": func(b *testing.B) string { return started(b, noauth).URL },
	} {
		b.Run(name, func(b *testing.B) {
			u := uploading{B: b, url: service(b)}
			u.source, _ = noiseFile(b, uploadSize)
			var took [2][]time.Duration
			for round := 0; b.Loop(); round++ {
				for i := range took {
					i = (i + round) % 2
					took[i] = append(took[i], [...]func() time.Duration{u.cp, u.curl}[i]())
				}
			}
			mine, other := float64(median(took[0])), float64(median(took[1]))
			b.ReportMetric(mine, "ns/op")
			b.ReportMetric(uploadSize*1e3/mine, "MB/s")
			b.ReportMetric(mine/other, "x_curl")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return (d[len(d)/2] + d[(len(d)-1)/2]) / 2
}

// An uploading is a file and the service that it is sent to.
type uploading struct {
	*testing.B
	url, source string
}

func (u *uploading) cp() time.Duration {
	m := mount(u.B, "--endpoint", u.url, "--cache-size", "4GiB")
	defer os.RemoveAll(filepath.Dir(m.Dir)) // with its cache
	defer m.Stop(u.B)
	defer u.clear("bench-cp")
	begun := time.Now()
	run(u.B, "cp", u.source, filepath.Join(m.Dir, "incoming/bench-cp"))
	return time.Since(begun)
}

func (u *uploading) curl() time.Duration {
	defer u.clear("bench-curl")
	var made struct{ ID string }
	out := run(u.B, "curl", "-sSf", "-H", "Content-Type: application/json",
		"-d", `{"name": "bench-curl", "disk_format": "raw", "container_format": "bare"}`, u.url+"/v2/images")
	if err := json.Unmarshal(out, &made); err != nil {
		u.Fatal(err)
	}
	begun := time.Now()
	run(u.B, "curl", "-sSf", "-H", "Content-Type: application/octet-stream", "-T", u.source, u.url+"/v2/images/"+made.ID+"/file")
	return time.Since(begun)
}

func (u *uploading) clear(name string) {
	for _, img := range named(u.B, u.url, "", name) {
		run(u.B, "curl", "-sSf", "-X", "DELETE", u.url+"/v2/images/"+img.ID)
	}
}
