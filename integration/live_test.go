package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// worker returns the process that serves a mount at present.
func (m *Mount) worker() (int, error) {
	var pid int
	err := eventually("a worker", func() (bool, error) {
		out, err := try(nil, "pgrep", "-P", strconv.Itoa(m.cmd.Process.Pid), "-x", "glancefs-worker")
		if err != nil {
			return false, err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
		return err == nil, err
	})
	return pid, err
}

// killWorker kills the process that serves a mount.
func (m *Mount) killWorker(tb testing.TB) {
	tb.Helper()
	pid, err := m.worker()
	if err != nil {
		tb.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	err = eventually("the end of the worker", func() (bool, error) {
		return syscall.Kill(pid, 0) == syscall.ESRCH, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// TestOpenOutlives has files open in each way while who serves them dies.
func TestOpenOutlives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 8<<20)
	whole, part := s.Add(t, "whole", data), s.Add(t, "part", data)
	m := mount(t, "--endpoint", s.URL)
	at := func(id string) string { return filepath.Join(m.Dir, "images", id, "data") }
	sha512sum(t, at(whole), data)
	if v := verified(t, at(whole)); v != "yes" {
		t.Fatalf("verified: %q", v)
	}
	sameAt(t, at(part), data, 0, 4096)
	open := func(path string) *os.File {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	passed, buffered := open(at(whole)), open(at(part))
	for i := range 3 {
		m.killWorker(t)
		for _, f := range []*os.File{passed, buffered, open(at(whole)), open(at(part))} {
			got, off := make([]byte, 4096), int64(i+1)<<20
			if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, data[off:off+4096]) {
				t.Fatalf("%s after %d deaths: %v", f.Name(), i+1, err)
			}
		}
		if !passes(t, m, at(whole)) {
			t.Error("a verified image is not read by passthrough any more")
		}
		if passes(t, m, at(part)) {
			t.Error("an image of which there is a part is read by passthrough")
		}
	}
	passed.Close()
	sha512sum(t, at(whole), data)
}

// TestWriterOutlives has who serves a draft die while it is written, while it is
// sent, and once it is an image: it becomes one image, and close tells so.
func TestWriterOutlives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	_, data := noiseFile(t, 3<<20)
	draft := filepath.Join(m.Dir, "incoming", "disk")
	cp := copyTo(t, draft)
	cp.in.Write(data[:1<<20])
	arrived(t, draft, 1<<20)
	m.killWorker(t)
	cp.in.Write(data[1<<20 : 2<<20])
	arrived(t, draft, 2<<20)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Times: 1, Break: glancetest.StallUpload, After: 1 << 20})
	cp.in.Write(data[2<<20:])
	cp.in.Close()
	err := eventually("the upload to stand still", func() (bool, error) {
		u := uploads(t, m)
		return len(u) == 1 && u[0].State == "uploading" && u[0].Sent >= 1<<20, fmt.Errorf("%+v", u)
	})
	if err != nil {
		t.Fatal(err)
	}
	m.killWorker(t)
	if err := cp.Wait(); err != nil {
		t.Error(err)
	}
	s.SetFaults() // what stands still is over
	m.killWorker(t)
	sha512sum(t, draft, data)
	if to := string(run(t, "readlink", draft)); !strings.HasPrefix(to, "../images/") {
		t.Errorf("it is a link to %q", to)
	}
	if all := images(t, s, "disk"); len(all) != 1 {
		t.Errorf("it has made %+v", all)
	}
}

// TestUpgrade replaces the program under a mount: the new one goes on with what is
// open, and one that does not work does not get so far.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 4<<20)
	id := s.Add(t, "disk", data)
	bin := upgradable(t)
	m := mountAs(t, []string{"env", "PATH=" + bin}, nil, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reads := func() {
		t.Helper()
		got := make([]byte, 4096)
		if _, err := f.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, data[1<<20:1<<20+4096]) {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"next", "last"} {
		replace(t, bin, version)
		if out := run(t, "glancefs", "upgrade", m.Dir); !bytes.HasPrefix(out, []byte("glancefs "+version+", process ")) {
			t.Errorf("%q", out)
		}
		reads()
	}
	for what, text := range map[string]string{"no program": "no program", "one that ends": "#!/bin/false\n"} {
		path := filepath.Join(bin, "new")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, filepath.Join(bin, "glancefs")); err != nil {
			t.Fatal(err)
		}
		if out, err := try(nil, "glancefs", "upgrade", m.Dir); err == nil {
			t.Errorf("upgraded to %s: %q", what, out)
		}
		reads()
		if out := run(t, "glancefs", "status", m.Dir); !bytes.Contains(out, []byte(" of glancefs last, ")) || !bytes.Contains(out, []byte("came to nothing")) {
			t.Errorf("after an upgrade to %s: %q", what, out)
		}
	}
	m.killWorker(t) // what is at the path now does not matter
	reads()
}

// upgradable is a directory with a glancefs of its own.
func upgradable(t *testing.T) string {
	t.Helper()
	require(t)
	dir, err := os.MkdirTemp(scratch(), "bin")
	if err != nil {
		t.Fatal(err)
	}
	replace(t, dir, "first")
	return dir
}

// replace puts a glancefs of another version in the place of the one in a
// directory, as a package does.
func replace(t *testing.T, dir, version string) {
	t.Helper()
	path := filepath.Join(dir, "new")
	out, err := exec.Command("go", "build", "-ldflags=-X main.version="+version, "-o", path, "glancefs").CombinedOutput()
	if err == nil {
		err = os.Rename(path, filepath.Join(dir, "glancefs"))
	}
	if err != nil {
		t.Fatalf("building glancefs: %v: %s", err, out)
	}
}
