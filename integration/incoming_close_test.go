package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"glancefs/glanceapi/glancetest"
)

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

// TestRenames copies to a name that waits and renames, again and again: however
// soon the rename comes after the close, it makes the image.
func TestRenames(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, _ := noiseFile(t, 10_000)
	m := mount(t, "--endpoint", s.URL)
	run(t, "python3", "-c", `
import os, sys
os.chdir(sys.argv[1])
data = open(sys.argv[2], "rb").read()
for i in range(100):
    fd = os.open(".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, data)
    os.close(fd)
    os.rename(".part", "name-%d" % i)
    assert os.path.islink("name-%d" % i), i
assert len(os.listdir()) == 100
for i in range(100):
    os.rename("name-%d" % i, "name-0")
assert os.listdir() == ["name-0"] and open("name-0", "rb").read() == data`, filepath.Join(m.Dir, "incoming"), source)
	for i := range 100 {
		if all := images(t, s, fmt.Sprint("name-", i)); len(all) != 1 || all[0].Status != "active" {
			t.Errorf("%d: %+v", i, all)
		}
	}
}

// TestWritersAtOnce has two programs write one draft at a time: what becomes an image
// is what one of them has written, or nothing does.
func TestWritersAtOnce(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	run(t, "python3", "-c", `
import os, subprocess, sys, time
os.chdir(sys.argv[1])

class Writer:
    def __init__(self, name, *how):
        self.name = name
        self.dd = subprocess.Popen(["dd", "of=" + name, "bs=512", "status=none", *how], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    def write(self, b, size):
        self.dd.stdin.write(b)
        self.dd.stdin.flush()
        while not os.path.exists(self.name) or os.stat(self.name).st_size != size:
            assert self.dd.poll() is None
            time.sleep(0.001)
    def close(self):
        return self.dd.communicate()[1], self.dd.returncode

def refused(w):
    err, status = w.close()
    assert status == 1 and b"busy" in err, (err, status)
    assert b"another program" in os.getxattr(w.name, "user.glancefs.error")
    assert not os.path.islink(w.name)

# The second begins anew.
first = Writer("anew")
first.write(b"1111", 4)
second = Writer("anew")
second.write(b"22", 2)
refused(first)
assert second.close() == (b"", 0)
assert open("anew").read() == "22"

# Both write on.
first = Writer("mixed")
first.write(b"1111", 4)
second = Writer("mixed")
second.write(b"22", 2)
first.write(b"11", 6)
second.write(b"2", 6)
refused(first)
refused(second)
third = Writer("mixed")
third.write(b"333", 3)
assert third.close() == (b"", 0)
assert open("mixed").read() == "333"

# Several may write a draft that is not to become an image when it is closed.
first, second = Writer(".parts", "conv=notrunc"), Writer(".parts", "conv=notrunc")
first.write(b"1111", 4)
second.write(b"22", 4)
assert first.close() == second.close() == (b"", 0)
os.rename(".parts", "parts")
assert open("parts").read() == "2211"
`, filepath.Join(m.Dir, "incoming"))
}

// TestFileLimit: a writer that may make no longer file, as only the kernel knows, has
// not finished; with what was missing it has.
func TestFileLimit(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	source, data := noiseFile(t, 3<<20)
	draft := filepath.Join(m.Dir, "incoming/disk")
	_, err := try(nil, "sh", "-c", `ulimit -f 2048; trap "" XFSZ; cp "$1" "$2"`, "sh", source, draft)
	if err == nil || !strings.Contains(err.Error(), "failed to close") {
		t.Errorf("the close of half of it: %v", err)
	}
	if all := images(t, s, "disk"); len(all) != 0 {
		t.Errorf("half of it has become %+v", all)
	}
	if why := reason(t, draft); !strings.Contains(why, "ulimit") {
		t.Errorf("the reason given is %q", why)
	}
	run(t, "cp", source, draft)
	sha512sum(t, draft, data)
}
