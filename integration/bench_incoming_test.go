package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// uploadSize is of the file that is copied.
const uploadSize = 1 << 30

// BenchmarkUpload copies a file into incoming/, until close returns, against curl
// -T of the same file to an image that has been made before: an image service
// takes it from both, and each image is removed before the next.
func BenchmarkUpload(b *testing.B) {
	for name, service := range map[string]func(*testing.B) string{
		"glancetest": func(b *testing.B) string { return glancetest.New(b).URL },
		"glance":     func(b *testing.B) string { return started(b, noauth).URL },
	} {
		b.Run(name, func(b *testing.B) {
			require(b)
			url := service(b) + "/v2/images"
			source, _ := noiseFile(b, uploadSize)
			n := &bench{B: b, dir: filepath.Dir(source), source: source, opBytes: uploadSize}
			clear := func(name string) {
				for _, img := range named(b, url[:len(url)-len("/v2/images")], "", name) {
					run(b, "curl", "-sSf", "-X", "DELETE", url+"/"+img.ID)
				}
			}
			n.rounds("curl", func(int) time.Duration {
				m := mount(b, "--endpoint", url[:len(url)-len("/v2/images")], "--cache-size", "4GiB")
				defer os.RemoveAll(filepath.Dir(m.Dir))
				defer m.Stop(b)
				defer clear("bench-cp")
				begun := time.Now()
				run(b, "cp", source, filepath.Join(m.Dir, "incoming/bench-cp"))
				return time.Since(begun)
			}, func(round int) time.Duration {
				defer clear("bench-curl")
				var made struct{ ID string }
				out := run(b, "curl", "-sSf", "-H", "Content-Type: application/json",
					"-d", `{"name": "bench-curl", "disk_format": "raw", "container_format": "bare"}`, url)
				if err := json.Unmarshal(out, &made); err != nil {
					b.Fatal(err)
				}
				begun := time.Now()
				run(b, "curl", "-sSf", "-H", "Content-Type: application/octet-stream", "-T", source, fmt.Sprintf("%s/%s/file", url, made.ID))
				return time.Since(begun)
			})
		})
	}
}
