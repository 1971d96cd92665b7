package integration

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestDraftsOutlive: drafts are there, as they were, after the mount has ended
// in any way.
func TestDraftsOutlive(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, data := noiseFile(t, 300_000)
	m := mount(t, "--endpoint", s.URL)
	incoming := filepath.Join(m.Dir, "incoming")
	odd := ".\xff\n%语"
	run(t, "sh", "-c", `set -e; cd "$1"; cp "$2" .a; mv .a .b; cp "$2" .c; mv .c .b
		touch -d 2011-02-03T04:05:06Z .b; setfattr -n user.glance.os_distro -v debian .b; sync .b
		cp "$2" "$3"; echo '{"min_disk": 4}' >named.meta.json; truncate -s 5 hole`, "sh", incoming, source, odd)
	want := []string{odd, ".b", "hole", "named.meta.json"}
	slices.Sort(want)
	for _, end := range []func(){func() { m.Stop(t) }, func() { m.Kill9(t); run(t, "glancefs", "umount", m.Dir) }} {
		end()
		m.Again(t)
		got := strings.Split(strings.TrimSuffix(string(run(t, "find", incoming, "-mindepth", "1", "-printf", `%f\0`)), "\x00"), "\x00")
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if stat := string(run(t, "stat", "-c", "%s %Y", filepath.Join(incoming, ".b"))); stat != fmt.Sprintln(len(data), 1296705906) {
			t.Errorf("size and mtime %q", stat)
		}
		sha512sum(t, filepath.Join(incoming, ".b"), data)
		run(t, "cmp", source, filepath.Join(incoming, odd))
	}
	run(t, "mv", filepath.Join(incoming, ".b"), filepath.Join(incoming, "named"))
	all := images(t, s, "named")
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	if meta := string(run(t, "jq", "-c", "[.min_disk, .properties.os_distro]", filepath.Join(m.Dir, "images", all[0].ID, "meta.json"))); meta != "[4,\"debian\"]\n" {
		t.Errorf("made: %s", meta)
	}
	// A name that no JSON can carry.
	if _, err := try(nil, "python3", "-c", "import os, sys; os.rename(sys.argv[1], sys.argv[2])", filepath.Join(incoming, odd), filepath.Join(incoming, odd[1:])); err == nil || !strings.Contains(err.Error(), "Invalid argument") {
		t.Errorf("a name that is not UTF-8: %v", err)
	}
	run(t, "rm", filepath.Join(incoming, odd))
	m.Stop(t)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(m.Dir), "cache/drafts/*"))
	if err != nil || len(left) != 2 { // of hole
		t.Errorf("left on the disk: %v, %v", left, err)
	}
	m.Again(t)
	if list := string(run(t, "ls", "-A", incoming)); list != "hole\n" {
		t.Errorf("links outlive the mount: %q", list)
	}
}

// TestStop ends a mount under uploads: one that is about to be through gets
// there, one that stands still is given up, and its draft kept.
func TestStop(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, data := noiseFile(t, 3<<20)
	m := mount(t, "--endpoint", s.URL, "--timeout", "10m")
	begin := func(name string) {
		cp, err := command(t.Context(), nil, "cp", source, filepath.Join(m.Dir, "incoming", name))
		if err == nil {
			err = cp.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cp.Wait() })
		err = eventually("the upload", func() (bool, error) {
			u := uploads(t, m)
			return slices.ContainsFunc(u, func(u status) bool { return u.Name == name && u.State == "uploading" }), fmt.Errorf("%+v", u)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stands := glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.StallUpload, After: 1 << 20}
	s.SetFaults(stands)
	begin("through")
	m.cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(3 * time.Second) // longer than the mount waits for files in use
	s.SetFaults()
	if err := m.wait(); err != nil {
		t.Fatal(err)
	}
	if all := images(t, s, "through"); len(all) != 1 || all[0].Status != "active" {
		t.Errorf("%+v", all)
	}

	m.Again(t)
	s.SetFaults(stands)
	begin("stands")
	m.Stop(t)
	s.SetFaults()
	if all := images(t, s, "stands"); len(all) != 0 {
		t.Errorf("left at the service: %+v", all)
	}
	m.Again(t)
	draft := filepath.Join(m.Dir, "incoming/stands")
	sha512sum(t, draft, data)
	if why := reason(t, draft); !strings.Contains(why, "stopped") {
		t.Errorf("the reason given is %q", why)
	}
}

// TestUploadsAtOnce copies many files at a time: few are sent at a time, and all
// get there.
func TestUploadsAtOnce(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, _ := noiseFile(t, 1<<20)
	m := mount(t, "--endpoint", s.URL)
	var mu sync.Mutex
	var now []context.Context // of uploads; it ends before the client has the answer
	most := 0
	s.SetFaults(glancetest.Fault{Latency: 50 * time.Millisecond, Match: func(r *http.Request) bool {
		if !glancetest.IsUpload(r) {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		now = append(slices.DeleteFunc(now, func(c context.Context) bool { return c.Err() != nil }), r.Context())
		most = max(most, len(now))
		return true
	}})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := try(nil, "cp", source, filepath.Join(m.Dir, "incoming", fmt.Sprint("many-", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 20 {
		if n := len(images(t, s, fmt.Sprint("many-", i))); n != 1 {
			t.Errorf("%d images of file %d", n, i)
		}
	}
	if most < 2 || most > 4 {
		t.Errorf("%d uploads at a time", most)
	}
	out := string(run(t, "cat", filepath.Join(m.Dir, ".glancefs/stats")))
	for _, want := range []string{"glancefs_uploads_total 20\n", "glancefs_upload_failures_total 0\n", "glancefs_uploaded_bytes_total 2.097152e+07\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("stats lack %q", want)
		}
	}
}

// TestNameAtOnce: a name that comes to mean two images means none at once, also
// to a kernel that may rely on what it knows of it for an hour.
func TestNameAtOnce(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, data := noiseFile(t, 1000)
	s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL, "--refresh", "1h")
	name := filepath.Join(m.Dir, "by-name/disk/data")
	run(t, "ls", filepath.Join(m.Dir, "by-name"), filepath.Join(m.Dir, "images"))
	sha512sum(t, name, data)
	run(t, "cp", source, filepath.Join(m.Dir, "incoming/disk"))
	ambiguous(t, name)
	if n := strings.Count(string(run(t, "ls", filepath.Join(m.Dir, "images"))), "\n"); n != 2 {
		t.Errorf("%d images listed", n)
	}
}

// ambiguous waits until a name that has come to mean two images means none. The kernel
// is told beside the answer that the second is made.
func ambiguous(t *testing.T, path string) {
	t.Helper()
	err := eventually("the name to be ambiguous", func() (bool, error) {
		_, err := try(nil, "cat", path)
		return err != nil && strings.Contains(err.Error(), "not unique"), err
	})
	if err != nil {
		t.Error(err)
	}
}
