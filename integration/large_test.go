package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// TestLarge counts what a cloud of 100,000 images costs.
func TestLarge(t *testing.T) {
	t.Parallel()
	require(t)
	const images, page = 100_000, 100
	// In memory: a disk takes half a minute to remove so many files.
	dir, err := os.MkdirTemp("/dev/shm", "images")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := glancetest.NewIn(t, dir)
	ids := make([]string, images)
	for i := range ids {
		ids[i] = s.AddQueued(t, fmt.Sprintf("image-%05d", i), func(r *server.Record) {
			r.Status, r.Size, r.Visibility = "active", new(int64(i)), "public"
		})
	}
	const refresh = 10 * time.Second
	m := mount(t, "--endpoint", s.URL, "--refresh", refresh.String(), "--timeout", "10m")
	cost := func(what string, least, most int) {
		t.Helper()
		if n := s.MetadataRequests(); n < least || n > most {
			t.Errorf("%s: %d requests, want %d to %d", what, n, least, most)
		}
		s.Reset()
	}
	ls := func(query string) string {
		t.Helper()
		return string(run(t, "ls", "-U", filepath.Join(m.Dir, "query", query)))
	}

	// Queries that have a limit ask for no more than that takes.
	s.Reset()
	if list := ls("sort_key=name,sort_dir=asc,limit=5"); list != strings.Join(ids[:5], "\n")+"\n" {
		t.Errorf("the first five: %q", list)
	}
	cost("the first five", 1, 1)
	if n := strings.Count(ls("sort_key=size,limit=250"), "\n"); n != 250 {
		t.Errorf("%d of 250", n)
	}
	cost("the 250 greatest", 3, 3)
	if list := ls("size_min=4711,size_max=4711"); list != ids[4711]+"\n" {
		t.Errorf("of one size: %q", list)
	}
	cost("those of one size", 1, 1)
	if list := ls("name=image-00007,limit=1"); list != ids[7]+"\n" {
		t.Errorf("of one name: %q", list)
	}
	cost("the one of a name", 1, 1)

	// The first names are there after one page, while the second does not come.
	var pages atomic.Int64
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang, Match: func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/images") && pages.Add(1) > 1
	}})
	names, begun := readNames(t, filepath.Join(m.Dir, "images"), page), time.Now()
	if n := names(); n != page {
		t.Errorf("%d names after one page", n)
	}
	s.SetFaults()
	if n := names(); n != images {
		t.Errorf("%d names in the end", n)
	}
	cost("the whole listing", images/page, images/page+1)
	if n := strings.Count(string(run(t, "ls", "-U", filepath.Join(m.Dir, "images"))), "\n"); n != images {
		t.Errorf("%d names, listed again", n)
	}
	if time.Since(begun) < refresh {
		cost("listing again", 0, 0)
	}

	// What one change costs.
	run(t, "curl", "-sSf", "-X", "PATCH", "-H", "Content-Type: application/openstack-images-v2.1-json-patch",
		"-d", `[{"op": "replace", "path": "/name", "value": "another"}]`, s.URL+"/v2/images/"+ids[0])
	time.Sleep(refresh + time.Second)
	s.Reset()
	if list := strings.Fields(string(run(t, "ls", "-U", filepath.Join(m.Dir, "by-name")))); len(list) != images {
		t.Errorf("%d names after a change", len(list))
	}
	run(t, "ls", filepath.Join(m.Dir, "by-name/another/meta.json"))
	if _, err := os.Lstat(filepath.Join(m.Dir, "by-name/image-00000")); err == nil {
		t.Error("the image has its old name, too")
	}
	cost("a listing when one image has changed, and two names", 1, 4)
	if kib := peakRSS(t, m); os.Getenv("GLANCEFS_RACE") != "1" && kib > 512<<10 {
		t.Errorf("glancefs took %d KiB", kib)
	}
}

// readNames begins to list a directory. What it returns tells how many names there
// were once n had come, and then how many in all.
func readNames(tb testing.TB, dir string, n int) func() int {
	tb.Helper()
	ls, out := piped(tb, "python3", "-c", `
import os, sys
n = 0
for e in os.scandir(sys.argv[1]):
    n += 1
    if n == int(sys.argv[2]): print(n, flush=True)
print(n)`, dir, fmt.Sprint(n))
	tb.Cleanup(func() { ls.Wait() })
	return func() (n int) {
		tb.Helper()
		if _, err := fmt.Fscan(out, &n); err != nil {
			tb.Fatal(err)
		}
		return n
	}
}
