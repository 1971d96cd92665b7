package integration

import (
	"crypto/sha512"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// sha512sum reads a file to its end and fails the test if it is not want.
func sha512sum(tb testing.TB, path string, want []byte) {
	tb.Helper()
	out, err := try(nil, "sha512sum", path)
	if err != nil {
		tb.Error(err)
	} else if got, want := strings.Fields(string(out))[0], fmt.Sprintf("%x", sha512.Sum512(want)); got != want {
		tb.Errorf("%s: sha512 %s, want %s", path, got, want)
	}
}

// TestReadersShare has eight processes read a cold image at once: the server
// sends each byte once, and glancefs does not keep the image in memory.
func TestReadersShare(t *testing.T) {
	for name, ranges := range map[string]server.RangeMode{"served": server.RangesServed, "refused": server.RangesRefused, "ignored": server.RangesIgnored} {
		t.Run("ranges "+name, func(t *testing.T) {
			s := glancetest.New(t)
			s.SetFaults(glancetest.Fault{Ranges: ranges})
			source, data := noiseFile(t, 300<<20+1)
			id := s.Add(t, "disk", data)
			m := mount(t, "--endpoint", s.URL)
			var readers sync.WaitGroup
			for range 8 {
				readers.Go(func() {
					if _, err := try(nil, "cmp", source, filepath.Join(m.Dir, "images", id, "data")); err != nil {
						t.Error(err)
					}
				})
			}
			readers.Wait()
			s.Settle(t)
			if n := s.MaxTimesSent(id); n != 1 {
				t.Errorf("a byte was sent %d times", n)
			}
			if n := s.BytesSent(id); n != int64(len(data)) {
				t.Errorf("%d bytes were sent of an image of %d", n, len(data))
			}
			if ranges != server.RangesServed {
				if n := s.DataRequests(); n != 1 {
					t.Errorf("%d streams of the whole image", n)
				}
			}
			// Requests in flight may take 128 MiB (see fs.New); the rest is small.
			if kib := peakRSS(t, m); os.Getenv("GLANCEFS_RACE") != "1" && kib > 256<<10 {
				t.Errorf("glancefs took %d KiB", kib)
			}
		})
	}
}

// peakRSS is the most memory the mount's worker ever had, in KiB.
func peakRSS(tb testing.TB, m *Mount) int {
	tb.Helper()
	pid, err := m.worker()
	if err != nil {
		tb.Fatal(err)
	}
	return memoryOf(tb, pid, "VmHWM:")
}

// memoryOf returns what /proc/PID/status says under a name, in KiB.
func memoryOf(tb testing.TB, pid int, name string) int {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), name)
	if !found {
		tb.Fatalf("no %s in %s", name, status)
	}
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		tb.Fatal(err)
	}
	return kib
}

// TestOppositeEnds has two readers at the ends of a cold image from a store
// that cannot seek: they share one download, and the one at the start has its
// bytes while the download stands still after its first part.
func TestOppositeEnds(t *testing.T) {
	for name, ranges := range map[string]server.RangeMode{"refused": server.RangesRefused, "ignored": server.RangesIgnored} {
		t.Run("ranges "+name, func(t *testing.T) {
			s := glancetest.New(t)
			data := noise(t.Name(), 64<<20)
			id := s.Add(t, "disk", data)
			s.SetFaults(glancetest.Fault{Ranges: ranges, Match: glancetest.IsData, Break: glancetest.Stall, After: 16 << 20})
			m := mount(t, "--endpoint", s.URL, "--timeout", "10m")
			file := filepath.Join(m.Dir, "images", id, "data")
			var readers sync.WaitGroup
			readers.Go(func() { sameAt(t, file, data, len(data)-1000, 1000) })
			sameAt(t, file, data, 0, 1<<20)
			s.SetFaults(glancetest.Fault{Ranges: ranges})
			readers.Wait()
			sha512sum(t, file, data)
			if n := s.DataRequests(); n != 1 {
				t.Errorf("%d downloads", n)
			}
		})
	}
}

// TestListing counts what listings of 5,000 images cost.
func TestListing(t *testing.T) {
	const images, pages = 5000, 51 // pages of 100, and an empty one because the last is full
	s := glancetest.New(t)
	s.AddN(t, images)
	const refresh = 15 * time.Second
	m := mount(t, "--endpoint", s.URL, "--refresh", refresh.String())
	list := func() int {
		t.Helper()
		return strings.Count(string(run(t, "ls", "-l", filepath.Join(m.Dir, "images"))), "\n") - 1
	}
	cost := func(what string, want int) {
		t.Helper()
		if n := s.MetadataRequests(); n != want {
			t.Errorf("%s: %d requests, want %d", what, n, want)
		}
		s.Reset()
	}

	s.Reset()
	begun := time.Now()
	if n := list(); n != images {
		t.Errorf("%d images listed", n)
	}
	cost("the first listing", pages)
	if n := list(); n != images {
		t.Errorf("%d images listed again", n)
	}
	run(t, "ls", "-l", filepath.Join(m.Dir, "by-name"))
	if time.Since(begun) < refresh {
		cost("listing again, and by name", 0)
	}
	s.Reset()
	err := eventually("the listing to be too old", func() (bool, error) {
		if n := list(); n != images {
			t.Errorf("%d images listed later", n)
		}
		return s.MetadataRequests() > 0, nil
	})
	if err != nil {
		t.Error(err)
	}
	cost("listing when nothing has changed", 1)
}

// TestListingStreams: the first names are there while the service still owes
// the later pages.
func TestListingStreams(t *testing.T) {
	s := glancetest.New(t)
	s.AddN(t, 350)
	// The fourth page does not come.
	var pages int
	var mu sync.Mutex
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang, Match: func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/images") {
			pages++
		}
		return pages > 3
	}})
	m := mount(t, "--endpoint", s.URL, "--timeout", "10m")
	names := readNames(t, filepath.Join(m.Dir, "images"), 100)
	if n := names(); n != 100 {
		t.Errorf("%d names of the first page", n)
	}
	s.SetFaults()
	if n := names(); n != 350 {
		t.Errorf("%d names in the end", n)
	}
}

// TestBootCosts: what one image takes on a big cloud, from an empty mount.
func TestBootCosts(t *testing.T) {
	s := glancetest.New(t)
	s.AddN(t, 500)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	for _, path := range []string{"images/" + id + "/data", "by-name/disk/data", "by-name/disk@" + id + "/data"} {
		s.Reset()
		m := mount(t, "--endpoint", s.URL)
		sha512sum(t, filepath.Join(m.Dir, path), data)
		run(t, "qemu-img", "info", filepath.Join(m.Dir, path))
		if n := s.MetadataRequests(); n > 3 {
			t.Errorf("%s: %d metadata requests: %v", path, n, s.Requests())
		}
		s.Reset()
		time.Sleep(time.Second)
		if n := len(s.Requests()); n != 0 {
			t.Errorf("an idle mount sent %d requests", n)
		}
		m.Stop(t)
	}
}
