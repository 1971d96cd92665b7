package integration

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestWrongBytes has the server send other bytes than the checksum is of.
func TestWrongBytes(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 3<<20)
	id := s.Add(t, "disk", data)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Invert: true})
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	// The first time may have been an accident on the way.
	err := eventually("two sums that do not match", func() (bool, error) {
		run(t, "dd", "if="+file, "of=/dev/null", "bs=1M", "iflag=direct", "status=none")
		out, err := try(nil, "getfattr", "--absolute-names", "--only-values", "-n", "user.glancefs.verified", file)
		return string(out) == "no", cmp.Or(err, fmt.Errorf("verified: %s", out))
	})
	if err != nil {
		t.Error(err)
	}
	if passes(t, m, file) {
		t.Error("it is read by passthrough")
	}
	m.says(t, "does not match its checksum")
	if out := string(run(t, "glancefs", "status", m.Dir)); !strings.Contains(out, "MISMATCH") || !strings.Contains(out, id) {
		t.Errorf("status does not tell: %s", out)
	}
	for range 2 {
		before := s.MaxTimesSent(id)
		if _, err := try(nil, "glancefs", "warm", m.Dir, id); err == nil || !strings.Contains(err.Error(), "does not match its checksum") {
			t.Errorf("warm: %v", err)
		}
		if n := s.MaxTimesSent(id) - before; n != 1 {
			t.Errorf("warm fetched it %d times", n)
		}
	}
	s.SetFaults()
	run(t, "glancefs", "warm", m.Dir, id)
	sha512sum(t, file, data)
}

// TestWarmWrong has images spoiled on the way, and a cache disk that does not take
// what was found of one.
func TestWarmWrong(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 3<<20)
	once, always, strict := s.Add(t, "once", data), s.Add(t, "always", data), s.Add(t, "strict", data)
	s.SetFaults(
		glancetest.Fault{Match: glancetest.Image(once), Invert: true, Times: 1},
		glancetest.Fault{Match: glancetest.Image(always), Invert: true},
		glancetest.Fault{Match: glancetest.Image(strict), Invert: true},
	)
	dir := t.TempDir()
	m := mount(t, "--endpoint", s.URL, "--cache-dir", dir)
	run(t, "glancefs", "warm", m.Dir, "once")
	for mnt, image := range map[*Mount]string{m: "always", mount(t, "--endpoint", s.URL, "--verify", "strict"): "strict"} {
		if _, err := try(nil, "glancefs", "warm", mnt.Dir, image); err == nil || !strings.Contains(err.Error(), "does not match its checksum") {
			t.Errorf("warm %s: %v", image, err)
		}
	}
	file := filepath.Join(m.Dir, "images", once, "data")
	f, err := os.Open(file) // and with it the cache's files
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	indexes, err := filepath.Glob(filepath.Join(dir, "blobs", "*.index"))
	if err != nil || len(indexes) == 0 {
		t.Fatal(indexes, err)
	}
	run(t, "chattr", append([]string{"+i"}, indexes...)...)
	defer run(t, "chattr", append([]string{"-i"}, indexes...)...)
	run(t, "setfattr", "-x", "user.glancefs.verified", file)
	if _, err := try(nil, "glancefs", "warm", m.Dir, "once"); err == nil || !strings.Contains(err.Error(), "not verified: ") || !strings.Contains(err.Error(), "operation not permitted") {
		t.Errorf("warm on a disk that takes nothing: %v", err)
	}
}

// TestWrongOnce has an image spoiled on the way. Once it has been found out nobody
// reads those bytes again, from the kernel's cache for one, who opens it or has it
// open.
func TestWrongOnce(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 3<<20)
	id := s.Add(t, "disk", data)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Invert: true})
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run(t, "cat", file)
	m.says(t, "does not match its checksum")
	s.SetFaults()
	err = eventually("who has it open to read what is right", func() (bool, error) {
		got := make([]byte, len(data))
		_, err := f.ReadAt(got, 0)
		return bytes.Equal(got, data), cmp.Or(err, errors.New("it reads other bytes"))
	})
	if err != nil {
		t.Error(err)
	}
	sha512sum(t, file, data)
}

// TestStrict: no byte is given out before all of the image is verified.
func TestStrict(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 6<<20)
	good, bad := s.Add(t, "good", data), s.Add(t, "bad", data)
	s.SetFaults(glancetest.Fault{Match: glancetest.Image(bad), Invert: true})
	m := mount(t, "--endpoint", s.URL, "--verify", "strict")
	sha512sum(t, filepath.Join(m.Dir, "images", good, "data"), data)
	out, err := try(nil, "head", "-c", "10", filepath.Join(m.Dir, "images", bad, "data"))
	if err == nil || len(out) > 0 || !strings.Contains(err.Error(), "Input/output error") {
		t.Errorf("%q, %v", out, err)
	}
	if n := s.MaxTimesSent(bad); n > 2 {
		t.Errorf("it was fetched %d times", n)
	}
}

// TestFilledByAnother: what was read of the data that was written here for a queued
// image is not what is read once somebody else has filled it.
func TestFilledByAnother(t *testing.T) {
	s := glancetest.New(t)
	source, ours := noiseFile(t, 1<<20)
	theirs := noise("theirs", len(ours))
	other := filepath.Join(filepath.Dir(source), "theirs")
	if err := os.WriteFile(other, theirs, 0o600); err != nil {
		t.Fatal(err)
	}
	m := mount(t, "--endpoint", s.URL, "--refresh", "1s")
	for name, between := range map[string]func(){
		"one process": func() {},
		"two":         func() { m.killWorker(t) },
	} {
		t.Run(name, func(t *testing.T) {
			id := s.AddQueued(t, "disk")
			file := filepath.Join(m.Dir, "images", id, "data")
			writer, in, out := talking(t, "python3", "-c", `
import os, sys
fd, data = os.open(sys.argv[1], os.O_RDWR), open(sys.argv[2], "rb").read()
while True:
    os.pwrite(fd, data, 0)
    print(flush=True)
    sys.stdin.readline()`, file, source)
			written := func() {
				if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			written()
			run(t, "cmp", source, file)
			run(t, "curl", "-sSf", "-H", "Content-Type: application/octet-stream", "-T", other, s.URL+"/v2/images/"+id+"/file")
			between()
			err := eventually("the data of the other", func() (bool, error) {
				out, err := try(nil, "getfattr", "--absolute-names", "--only-values", "-n", "user.glance.status", file)
				return string(out) == "active", err
			})
			if err != nil {
				t.Error(err)
			}
			sha512sum(t, file, theirs)
			if _, err := io.WriteString(in, "\n"); err != nil {
				t.Error(err)
			}
			written() // in vain, but nobody has told it so
			sha512sum(t, file, theirs)
			writer.Process.Kill()
			writer.Wait()
			sha512sum(t, file, theirs)
		})
	}
}
