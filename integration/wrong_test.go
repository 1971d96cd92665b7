package integration

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	for range 2 { // the first time may have been an accident on the way
		run(t, "dd", "if="+file, "of=/dev/null", "bs=1M", "iflag=direct", "status=none")
		time.Sleep(500 * time.Millisecond)
	}
	if v := verified(t, file); v != "no" {
		t.Errorf("verified: %q", v)
	}
	if passes(t, m, file) {
		t.Error("it is read by passthrough")
	}
	if !strings.Contains(m.Stderr.String(), "does not match its checksum") {
		t.Error("the log does not tell")
	}
	if out := string(run(t, "glancefs", "status", m.Dir)); !strings.Contains(out, "MISMATCH") || !strings.Contains(out, id) {
		t.Errorf("status does not tell: %s", out)
	}
	if _, err := try(nil, "glancefs", "warm", m.Dir, id); err == nil {
		t.Error("warm is content")
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
	err = eventually("it has been compared", func() (bool, error) {
		return strings.Contains(m.Stderr.String(), "does not match its checksum"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
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
