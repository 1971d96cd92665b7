package integration

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestCacheRefused has a cache directory in which nothing can be made or changed any
// more: what is in it is read, and all else too, from memory.
func TestCacheRefused(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 6<<20)
	here, not := s.Add(t, "here", data), s.Add(t, "not", data)
	m := mount(t, "--endpoint", s.URL)
	file := func(id string) string { return filepath.Join(m.Dir, "images", id, "data") }
	sha512sum(t, file(here), data)
	if v := verified(t, file(here)); v != "yes" {
		t.Errorf("verified: %q", v)
	}
	m.Stop(t) // so that no file of the cache is open
	m.Again(t)
	cache := filepath.Join(filepath.Dir(m.Dir), "cache")
	run(t, "chattr", "-R", "+i", filepath.Join(cache, "blobs"))
	defer run(t, "chattr", "-R", "-i", filepath.Join(cache, "blobs"))
	s.Reset()
	sha512sum(t, file(here), data)
	if n := s.DataRequests(); n != 0 {
		t.Errorf("what is cached took %d requests", n)
	}
	sha512sum(t, file(not), data)
	m.says(t, "reads go on from memory")

	if err := os.Rename(filepath.Join(cache, "drafts"), filepath.Join(cache, "away")); err != nil {
		t.Fatal(err)
	}
	_, err := os.Create(filepath.Join(m.Dir, "incoming", "disk"))
	if err == nil || err.(*os.PathError).Err.Error() != "input/output error" {
		t.Errorf("a draft without a place for it: %v", err)
	}
	m.says(t, "no such file or directory")
}

// TestCacheRefusedLater has the disk of the cache refuse all changes, and the worker die:
// the next goes on with the mount. A new mount does not begin with such a disk.
func TestCacheRefusedLater(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 6<<20)
	here, not := s.Add(t, "here", data), s.Add(t, "not", data)
	m := mount(t, "--endpoint", s.URL)
	file := func(id string) string { return filepath.Join(m.Dir, "images", id, "data") }
	sha512sum(t, file(here), data)
	if v := verified(t, file(here)); v != "yes" {
		t.Errorf("verified: %q", v)
	}
	open, err := os.Open(file(not))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	cache := filepath.Join(filepath.Dir(m.Dir), "cache")
	run(t, "chattr", "-R", "+i", cache)
	defer run(t, "chattr", "-R", "-i", cache)
	m.killWorker(t)
	s.Reset()
	sha512sum(t, file(here), data)
	if n := s.DataRequests(); n != 0 {
		t.Errorf("what is cached took %d requests", n)
	}
	got, err := io.ReadAll(open)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("what was open: %d bytes, %v", len(got), err)
	}
	m.Stop(t)
	if err := m.start(); err == nil || !strings.Contains(err.Error(), "lock: operation not permitted") {
		t.Errorf("a new mount: %v", err)
	}
}

// TestDraftTaken has somebody take the bytes of drafts from the disk: what is told of it
// is not that they are not there, and they can be removed.
func TestDraftTaken(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	draft := filepath.Join(m.Dir, "incoming/.disk")
	source, _ := noiseFile(t, 1<<20)
	run(t, "cp", source, draft)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(m.Dir), "cache/drafts/*.data"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := try(nil, "mv", draft, filepath.Join(m.Dir, "incoming/disk")); err == nil || !strings.Contains(err.Error(), "Input/output error") {
		t.Errorf("mv: %v", err)
	}
	if why := reason(t, draft); !strings.Contains(why, filepath.Base(files[0])) {
		t.Errorf("the reason given is %q", why)
	}
	run(t, "rm", draft)
	run(t, "cp", source, draft)
}
