package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// thinDisk mounts a disk that promises more room than there is behind it, which is
// mounted at behind.
func thinDisk(tb testing.TB) (disk, behind string) {
	tb.Helper()
	require(tb)
	for _, at := range []*string{&behind, &disk} {
		dir, err := os.MkdirTemp(scratch(), "thin")
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { try(nil, "umount", "-l", dir) })
		*at = dir
	}
	run(tb, "mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", behind)
	device := filepath.Join(behind, "device")
	run(tb, "truncate", "-s", "1G", device)
	run(tb, "env", "mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=0", device)
	run(tb, "fallocate", "-l", "32M", device) // what the file system writes of its own is there
	run(tb, "mount", "-o", "loop", device, disk)
	return disk, behind
}

// TestThinDiskDraft: what the disk has lost of a draft by the time that it is closed
// makes no image, whoever tries, until it is written anew.
func TestThinDiskDraft(t *testing.T) {
	t.Parallel()
	disk, behind := thinDisk(t)
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL, "--cache-dir", disk)
	draft := filepath.Join(m.Dir, "incoming/disk")
	run(t, "python3", "-c", outgrow, draft, disk, behind)
	if why := reason(t, draft); !strings.Contains(why, "lost some of what was written") {
		t.Errorf("the reason given is %q", why)
	}
	retry := func() error {
		_, err := try(nil, "sh", "-c", `mv "$1" "$2" && mv "$2" "$1"`, "sh", draft, filepath.Join(m.Dir, "incoming/.disk"))
		return errors.Join(err, os.Rename(filepath.Join(m.Dir, "incoming/.disk"), draft))
	}
	for range 2 {
		if err := retry(); err == nil {
			t.Error("it has become an image after all")
		}
		m.Stop(t)
		m.Again(t)
	}
	if all := images(t, s, "disk"); len(all) != 0 {
		t.Errorf("the service has %+v", all)
	}
	source, data := noiseFile(t, 100<<20)
	hidden := filepath.Join(m.Dir, "incoming/.disk")
	run(t, "sh", "-c", `cat "$1" >"$2" && mv "$2" "$3"`, "sh", source, hidden, draft)
	sha512sum(t, draft, data)
}

// outgrow writes more than there is room for, and closes it when the disk has seen to
// all and has room again.
const outgrow = `
import errno, glob, os, subprocess, sys
draft, disk, behind = sys.argv[1:]
fd = os.open(draft, os.O_WRONLY | os.O_CREAT)
for _ in range(100):
    assert os.write(fd, os.urandom(1 << 20)) == 1 << 20
subprocess.run(["sync", "-f", disk], stderr=subprocess.DEVNULL)
for name in glob.glob(disk + "/drafts/*.data"): # as when the memory is needed
    file = os.open(name, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
subprocess.run(["mount", "-o", "remount,size=1g", behind], check=True)
try:
    os.close(fd)
    sys.exit("what was lost is not missed")
except OSError as e:
    assert e.errno == errno.EIO, e
`

// TestThinDiskImage: the kernel does not read the file of an image of which the disk
// has lost some.
func TestThinDiskImage(t *testing.T) {
	t.Parallel()
	disk, _ := thinDisk(t)
	s := glancetest.New(t)
	data := noise(t.Name(), 100<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL, "--cache-dir", disk)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	err := eventually("the disk to lose some of it", func() (bool, error) {
		why, err := try(nil, "getfattr", "--absolute-names", "--only-values", "-n", "user.glancefs.unverified", file)
		return strings.Contains(string(why), "has lost what was written"), err
	})
	if err != nil {
		t.Fatal(err)
	}
	if passes(t, m, file) {
		t.Error("it is read by passthrough")
	}
	sha512sum(t, file, data)
}
