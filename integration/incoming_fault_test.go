package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// images are what a service has under a name.
func images(tb testing.TB, s *glancetest.Server, name string) []found {
	tb.Helper()
	s.Settle(tb)
	return named(tb, s.URL, "", name)
}

// TestUploadFaults has the service fail an upload in every way. Each has its
// errno, nothing is left at the service, the draft stays with the reason, and
// trying again works.
func TestUploadFaults(t *testing.T) {
	t.Parallel()
	creates := func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/images")
	}
	upload := func(f glancetest.Fault) []glancetest.Fault {
		f.Match = glancetest.IsUpload
		return []glancetest.Fault{f}
	}
	const half = 1 << 20
	for name, c := range map[string]struct {
		faults []glancetest.Fault
		want   string // of what cp says; "" if it is to succeed
	}{
		"create 409":          {[]glancetest.Fault{{Match: creates, Status: 409, Message: "exists"}}, "File exists"},
		"create 413":          {[]glancetest.Fault{{Match: creates, Status: 413, Message: "too many"}}, "Disk quota exceeded"},
		"create 403":          {[]glancetest.Fault{{Match: creates, Status: 403}}, "Permission denied"},
		"create, answer lost": {[]glancetest.Fault{{Match: creates, Break: glancetest.DropAnswer, Times: 1}}, ""},
		"create, no answer":   {[]glancetest.Fault{{Match: creates, Break: glancetest.Drop}}, "Input/output error"},
		"409":                 {upload(glancetest.Fault{Status: 409, Message: "busy"}), "Device or resource busy"},
		"413":                 {upload(glancetest.Fault{Status: 413, Message: "too large"}), "Disk quota exceeded"},
		"400":                 {upload(glancetest.Fault{Status: 400, Message: "bad format"}), "Invalid argument"},
		"401 always":          {upload(glancetest.Fault{Status: 401}), "Permission denied"},
		"503 thrice":          {upload(glancetest.Fault{Status: 503, Times: 3}), ""},
		"503 always":          {upload(glancetest.Fault{Status: 503}), "Input/output error"},
		"cut once":            {upload(glancetest.Fault{Break: glancetest.CutUpload, After: half, Times: 1}), ""},
		"cut always":          {upload(glancetest.Fault{Break: glancetest.CutUpload, After: half}), "Input/output error"},
		"stall":               {upload(glancetest.Fault{Break: glancetest.StallUpload, After: half}), "Connection timed out"},
		"answer lost":         {upload(glancetest.Fault{Break: glancetest.DropAnswer, Times: 1}), ""},
		"wrong bytes":         {upload(glancetest.Fault{Garble: true}), "Input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			source, data := noiseFile(t, 2*half+5)
			m := mount(t, "--endpoint", s.URL, "--timeout", "2s")
			draft := filepath.Join(m.Dir, "incoming/disk")
			s.SetFaults(c.faults...)
			_, err := try(nil, "cp", source, draft)
			s.SetFaults()
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("want %q: %v", c.want, err)
				}
				if all := images(t, s, "disk"); len(all) != 0 {
					t.Errorf("left at the service: %+v", all)
				}
				why := reason(t, draft)
				if why == "" {
					t.Error("no reason is given")
				}
				m.says(t, why)
				if u := uploads(t, m); len(u) != 1 || u[0].Name != "disk" || u[0].State != "failed" || u[0].Size != int64(len(data)) || u[0].Error == "" {
					t.Errorf("status: %+v", u)
				}
				if out := string(run(t, "glancefs", "status", m.Dir)); !strings.Contains(out, "disk: 2 MiB; ") {
					t.Errorf("status: %s", out)
				}
				run(t, "cmp", source, draft)
				run(t, "mv", draft, draft+".tmp")
				run(t, "mv", draft+".tmp", draft)
			}
			if all := images(t, s, "disk"); len(all) != 1 || all[0].Status != "active" {
				t.Errorf("images: %+v", all)
			}
			sha512sum(t, draft, data)
			if n := s.DataRequests(); n != 0 {
				t.Errorf("%d requests for data", n)
			}
		})
	}
}

// status is what status.json tells of one draft.
type status struct {
	Name, State, Error string
	Size               int64 `json:"size_bytes"`
	Sent               int64 `json:"sent_bytes"`
}

func uploads(tb testing.TB, m *Mount) []status {
	tb.Helper()
	var s struct{ Uploads []status }
	if err := json.Unmarshal(run(tb, "cat", filepath.Join(m.Dir, ".glancefs/status.json")), &s); err != nil {
		tb.Fatal(err)
	}
	return s.Uploads
}

// TestUploadToken has tokens expire between the copying and the upload, once and
// for good.
func TestUploadToken(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	i := newIssuer(t, s.URL)
	source, data := noiseFile(t, 1<<20)
	m := mountEnv(t, i.environ(), "--timeout", "2s")
	s.SetFaults(glancetest.Fault{Match: glancetest.Token(tokenName(i.issued.Load())), Status: http.StatusUnauthorized})
	draft := filepath.Join(m.Dir, "incoming/disk")
	run(t, "cp", source, draft)
	sha512sum(t, draft, data)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Status: http.StatusUnauthorized})
	if _, err := try(nil, "cp", source, filepath.Join(m.Dir, "incoming/other")); err == nil || !strings.Contains(err.Error(), "Input/output error") {
		t.Errorf("every token is refused: %v", err)
	}
	s.SetFaults()
	if all := images(t, s, "other"); len(all) != 0 {
		t.Errorf("left at the service: %+v", all)
	}
}

// TestFullDisk runs out of space: the writer is told, at once, and nothing comes
// of it. What is cached makes way first.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 40<<20)
	id := s.Add(t, "cached", data)
	require(t)
	dir, err := os.MkdirTemp(scratch(), "tmpfs")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", dir)
	t.Cleanup(func() { try(nil, "umount", "-l", dir) })
	m := mount(t, "--endpoint", s.URL, "--cache-dir", dir, "--cache-size", "1GiB")
	run(t, "cat", filepath.Join(m.Dir, "images", id, "data"))
	source, want := noiseFile(t, 45<<20)
	draft := filepath.Join(m.Dir, "incoming/fits")
	run(t, "cp", source, draft)
	sha512sum(t, draft, want)
	source, _ = noiseFile(t, 100<<20)
	for name, how := range map[string]string{"cp": `cp "$1" "$2"`, "dd": `dd if="$1" of="$2" bs=1M status=none`} {
		draft := filepath.Join(m.Dir, "incoming", name)
		if _, err := try(nil, "sh", "-c", how, "sh", source, draft); err == nil || !strings.Contains(err.Error(), "No space left on device") {
			t.Errorf("%s: %v", name, err)
		}
		if all := images(t, s, name); len(all) != 0 {
			t.Errorf("%s has made %+v", name, all)
		}
		if _, err := try(nil, "rm", draft); err != nil {
			t.Error(err)
		}
	}
	run(t, "python3", "-c", fillUp, filepath.Join(dir, "ballast"), m.Dir, strconv.Itoa(m.cmd.Process.Pid))
	for name, n := range map[string]int{"short": 0, "whole": 1, "taken": 0} {
		if all := images(t, s, name); len(all) != n {
			t.Errorf("%s has become %+v", name, all)
		}
	}
	if why := reason(t, filepath.Join(m.Dir, "incoming/.short")); !strings.Contains(why, "no space left") {
		t.Errorf("the reason given is %q", why)
	}
	run(t, "rm", filepath.Join(m.Dir, "incoming/.short"), filepath.Join(m.Dir, "incoming/.taken"))
	small, want := noiseFile(t, 1<<20)
	run(t, "cp", small, filepath.Join(m.Dir, "incoming/small"))
	sha512sum(t, filepath.Join(m.Dir, "incoming/small"), want)
}

// fillUp writes until the disk is full, has room made, and closes: once without what is
// missing, which is no image although there would be room for one, once with it, and
// once by way of another worker than was asked to write.
const fillUp = `
import errno, os, subprocess, sys
ballast, mount, keeper = sys.argv[1:]

def full(name):
    with open(ballast, "wb") as f:
        f.write(bytes(4 << 20))
    fd = os.open(mount + "/incoming/" + name, os.O_WRONLY | os.O_CREAT)
    n = 0
    try:
        while True:
            n += os.write(fd, b"x" * (1 << 17))
    except OSError as e:
        assert e.errno == errno.ENOSPC
    os.unlink(ballast)
    return fd, n

def close(fd, why):
    try:
        os.close(fd)
        sys.exit("what is missing is not missed")
    except OSError as e:
        assert e.errno == why, e

fd, _ = full("taken")
subprocess.run(["pkill", "-KILL", "-P", keeper, "-x", "glancefs-worker"], check=True)
close(fd, errno.EIO)
os.rename(mount + "/incoming/taken", mount + "/incoming/.taken")
os.truncate(mount + "/incoming/.taken", 0)
fd, _ = full("short")
close(fd, errno.ENOSPC)
os.rename(mount + "/incoming/short", mount + "/incoming/.short")
os.truncate(mount + "/incoming/.short", 0)
fd, n = full("whole")
assert os.pwrite(fd, b"y" * (1 << 17), n) == 1 << 17
os.close(fd)
`

// TestReadOnly: nothing changes anything.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	id := s.Add(t, "disk", noise(t.Name(), 1000))
	queued := s.AddQueued(t, "queued")
	source, _ := noiseFile(t, 1000)
	m := mount(t, "--endpoint", s.URL, "--read-only")
	s.Reset()
	at := func(path string) string { return filepath.Join(m.Dir, path) }
	for _, c := range [][]string{
		{"cp", source, at("incoming/x")}, {"touch", at("incoming/x")}, {"mkdir", at("incoming/x")}, {"ln", "-s", "x", at("incoming/x")},
		{"cp", source, at("images/" + queued + "/data")}, {"truncate", "-s", "1", at("images/" + queued + "/data")},
		{"rm", "-f", at("images/" + id + "/data")}, {"rmdir", at("images/" + id)}, {"chmod", "600", at("images/" + id + "/data")},
		{"touch", at("images/" + id + "/data")}, {"touch", at("images/" + id + "/members/x")}, {"mkdir", at("images/x")},
		{"rm", at("by-name/disk")}, {"mv", at("incoming"), at("outgoing")}, {"mkdir", at("x")},
		{"setfattr", "-n", "user.glance.name", "-v", "x", at("images/" + id + "/data")},
		{"dd", "if=/dev/null", "conv=notrunc", "of=" + at("images/"+id+"/meta.json")},
	} {
		if _, err := try(nil, c[0], c[1:]...); err == nil || !strings.Contains(err.Error(), "Read-only file system") {
			t.Errorf("%v: %v", c, err)
		}
	}
	run(t, "ls", "-lR", m.Dir)
	for _, r := range s.Requests() {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}

// TestLargeUpload sends a file that is larger than what glancefs may keep of it in
// memory: 1 GiB, and where the variable CI is set 3 GiB.
func TestLargeUpload(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, _ := noiseFile(t, 1000)
	size := int64(1 << 30)
	if os.Getenv("CI") != "" {
		size *= 3
	}
	run(t, "truncate", "-s", fmt.Sprint(size), source)
	m := mount(t, "--endpoint", s.URL)
	run(t, "cp", "--sparse=never", source, filepath.Join(m.Dir, "incoming/large"))
	if all := images(t, s, "large"); len(all) != 1 || all[0].Size != size {
		t.Errorf("%+v", all)
	}
	sameAt(t, filepath.Join(m.Dir, "incoming/large"), noise(t.Name(), 1000), 0, 1000)
	if n := s.DataRequests(); n != 0 {
		t.Errorf("%d requests for data", n)
	}
	// Requests in flight take most of it; a cp has one at a time.
	if kib := peakRSS(t, m); os.Getenv("GLANCEFS_RACE") != "1" && kib > 96<<10 {
		t.Errorf("glancefs took %d KiB", kib)
	}
}
