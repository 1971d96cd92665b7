package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/posixtest"

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
	var now, most atomic.Int64
	s.SetFaults(glancetest.Fault{Latency: 50 * time.Millisecond, Match: func(r *http.Request) bool {
		if glancetest.IsUpload(r) {
			most.Store(max(most.Load(), now.Add(1)))
			go func() {
				<-r.Context().Done()
				now.Add(-1)
			}()
		}
		return glancetest.IsUpload(r)
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
	if n := most.Load(); n < 2 || n > 4 {
		t.Errorf("%d uploads at a time", n)
	}
	out := string(run(t, "cat", filepath.Join(m.Dir, ".glancefs/stats")))
	for _, want := range []string{"glancefs_uploads_total 20\n", "glancefs_upload_failures_total 0\n", "glancefs_uploaded_bytes_total 2.097152e+07\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("stats lack %q", want)
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

// TestWhoCloses has several processes close a draft: it becomes an image when
// the one that opened it does, and stays as it is from then on.
func TestWhoCloses(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	run(t, "python3", "-c", `
import errno, os, subprocess, sys
os.chdir(sys.argv[1])

fd = os.open("children", os.O_WRONLY | os.O_CREAT)
for word in "one", "two":
    subprocess.run(["sh", "-c", "echo " + word], stdout=fd, check=True)
    assert os.fstat(fd).st_size == 4 * ("one", "two").index(word) + 4
subprocess.run(["sh", "-c", "test ! -L children"], check=True)
os.close(fd)
subprocess.run(["sh", "-c", "test -L children"], check=True)
assert open("children").read() == "one\ntwo\n"

fd = os.open("again", os.O_RDWR | os.O_CREAT)
os.write(fd, b"x" * 100)
os.close(os.dup(fd))
subprocess.run(["sh", "-c", "test -L again"], check=True)
for change in lambda: os.write(fd, b"y"), lambda: os.ftruncate(fd, 1), lambda: os.open("again", os.O_WRONLY):
    try:
        change()
        sys.exit("an image is changed")
    except PermissionError as e:
        assert e.errno == errno.EPERM
assert os.fstat(fd).st_size == 100 and os.pread(fd, 200, 0) == b"x" * 100
assert os.stat("again").st_size == 100 and open("again").read() == "x" * 100
os.close(fd)

# Who only reads does not finish what another writes.
fd = os.open("watched", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"x")
subprocess.run(["sh", "-c", "cat watched; touch watched; test ! -L watched"], check=True)
os.write(fd, b"y")
os.close(fd)
assert open("watched").read() == "xy"

# Who fails has not finished.
subprocess.run(["sh", "-c", "exec >failed; echo x; exit 3"])
subprocess.run(["sh", "-c", "test ! -L failed; test $(stat -c %s failed) = 2"], check=True)
assert b"status 3" in os.getxattr("failed", "user.glancefs.error")
`, filepath.Join(m.Dir, "incoming"))
	for name, want := range map[string]int64{"children": 8, "again": 100, "watched": 2} {
		if all := images(t, s, name); len(all) != 1 || all[0].Size != want {
			t.Errorf("%s: %+v", name, all)
		}
	}
	if all := images(t, s, "failed"); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// TestFillFaults fills reserved images under trouble: what was written is kept.
func TestFillFaults(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, data := noiseFile(t, 1<<20)
	m := mount(t, "--endpoint", s.URL, "--refresh", "1s")
	reserve := func(name string) (id, file string) {
		id = s.AddQueued(t, name)
		return id, filepath.Join(m.Dir, "images", id, "data")
	}

	// Refused once: the draft is what the file reads as, and is sent when it is
	// written again.
	_, file := reserve("refused")
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Status: 413, Message: "no"})
	if _, err := try(nil, "cp", source, file); err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("%v", err)
	}
	s.SetFaults()
	if why := reason(t, file); !strings.Contains(why, "413") {
		t.Errorf("the reason given is %q", why)
	}
	if all := images(t, s, "refused"); len(all) != 1 || all[0].Status != "queued" {
		t.Errorf("%+v", all)
	}
	for range 2 {
		run(t, "cmp", source, file)
		m.Kill9(t)
		run(t, "glancefs", "umount", m.Dir)
		m.Again(t)
	}
	run(t, "cp", source, file)
	sha512sum(t, file, data)

	// Another was first: the draft is found in incoming/.
	id, file := reserve("taken")
	run(t, "sh", "-c", `exec 3>"$1"; set -e
		curl -sSf -X PUT -H 'Content-Type: application/octet-stream' -d other "$2"
		cat "$3" >&3; exec 3>&-`, "sh", file, s.URL+"/v2/images/"+id+"/file", source)
	draft := filepath.Join(m.Dir, "incoming/.data-of-"+id)
	err := eventually("the draft", func() (bool, error) {
		_, err := try(nil, "cmp", source, draft)
		return err == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	err = eventually("the data of the other", func() (bool, error) {
		out, err := try(nil, "cat", file)
		return string(out) == "other", err
	})
	if err != nil {
		t.Error(err)
	}

	// It is read, by passthrough or not, while its writer still has it open.
	_, file = reserve("open")
	run(t, "python3", "-c", `
import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, open(sys.argv[2], "rb").read())
os.close(os.dup(fd))
for _ in range(3):
    subprocess.run(["cmp", sys.argv[1], sys.argv[2]], check=True)
assert os.pread(fd, 10, 0) == open(sys.argv[2], "rb").read(10)
os.close(fd)
subprocess.run(["cmp", sys.argv[1], sys.argv[2]], check=True)`, file, source)

	// Opened and not written: nothing happens.
	_, file = reserve("untouched")
	run(t, "sh", "-c", `: >>"$1"; touch "$1"; truncate -s 0 "$1"`, "sh", file)
	if all := images(t, s, "untouched"); len(all) != 1 || all[0].Status != "queued" {
		t.Errorf("%+v", all)
	}
	if u := uploads(t, m); len(u) != 1 || u[0].Name != ".data-of-"+id {
		t.Errorf("%+v", u)
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
	err := eventually("the name to be ambiguous", func() (bool, error) {
		_, err := try(nil, "cat", name)
		return err != nil && strings.Contains(err.Error(), "not unique"), err
	})
	if err != nil {
		t.Error(err)
	}
	if n := strings.Count(string(run(t, "ls", filepath.Join(m.Dir, "images"))), "\n"); n != 2 {
		t.Errorf("%d images listed", n)
	}
}

// posixVar has the test binary run go-fuse's tests of a file system in the
// directory that it names, instead of its own.
const posixVar = "GLANCEFS_TEST_POSIX"

// TestPosix runs those of go-fuse's tests of file systems that are about what
// incoming/ does. The others write to a file after they have closed it, when it
// is an image, look at its mode, or make directories to put files in.
func TestPosix(t *testing.T) {
	if dir := os.Getenv(posixVar); dir != "" {
		posixtest.All[filepath.Base(dir)](t, filepath.Dir(dir)+"/incoming")
		return
	}
	t.Parallel()
	require(t)
	for _, name := range []string{"AppendWrite", "FdLeak", "FstatDeleted", "LseekEnxioCheck", "LseekHoleSeeksToEOF", "NlinkZero", "ReadDirBasic", "ReadDirConsistency"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mount(t, "--endpoint", glancetest.New(t).URL)
			c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^TestPosix$", "-test.timeout", patience.String())
			c.Env = append(os.Environ(), posixVar+"="+filepath.Join(m.Dir, name))
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
