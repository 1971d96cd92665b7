package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestTakenOverOffline has a mount change its process while the service is down and
// what was known of its images is lost: what is open goes on, what is not known is an
// error, and all is there when the service is.
func TestTakenOverOffline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  glancetest.Fault
		change func(*testing.T, *Mount)
	}{
		"a death, refused":    {glancetest.Fault{Break: glancetest.Drop}, func(t *testing.T, m *Mount) { m.killWorker(t) }},
		"a death, silence":    {glancetest.Fault{Break: glancetest.Hang}, func(t *testing.T, m *Mount) { m.killWorker(t) }},
		"an upgrade, refused": {glancetest.Fault{Break: glancetest.Drop}, func(t *testing.T, m *Mount) { run(t, "glancefs", "upgrade", m.Dir) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			data := noise(t.Name(), 8<<20)
			id, other := s.Add(t, "disk", data), s.Add(t, "other", data)
			m := mount(t, "--endpoint", s.URL, "--timeout", "3s")
			f, err := os.Open(filepath.Join(m.Dir, "images", id, "data"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got := make([]byte, 4096)
			reads := func() {
				if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data[:len(got)]) {
					t.Errorf("what is open and cached: %v", err)
				}
			}
			reads()
			saved := filepath.Join(filepath.Dir(m.Dir), "cache", "catalog.json")
			err = eventually("what is known to be saved", func() (bool, error) {
				b, err := os.ReadFile(saved)
				return bytes.Contains(b, []byte(id)), err
			})
			if err != nil {
				t.Fatal(err)
			}
			s.SetFaults(c.fault)
			defer s.SetFaults()
			if err := os.Remove(saved); err != nil {
				t.Fatal(err)
			}
			c.change(t, m)
			reads()
			for _, path := range []string{filepath.Join("images", other, "meta.json"), "images", "by-name"} {
				if _, err := try(nil, "ls", filepath.Join(m.Dir, path)); err == nil || !strings.Contains(err.Error(), "Input/output error") {
					t.Errorf("%s, of which nothing is known: %v", path, err)
				}
			}
			if out := string(run(t, "glancefs", "status", m.Dir)); !strings.Contains(out, s.URL) || !strings.Contains(out, "does not answer") {
				t.Errorf("status says %s", out)
			}
			s.SetFaults()
			err = eventually("both images to be listed", func() (bool, error) {
				out, err := try(nil, "ls", filepath.Join(m.Dir, "by-name"))
				return string(out) == "disk\nother\n", err
			})
			if err != nil {
				t.Error(err)
			}
			sha512sum(t, filepath.Join(m.Dir, "by-name", "other", "data"), data)
			m.says(t, "taken over")
			if said := m.Stderr.String(); strings.Contains(said, "another is tried") || strings.Count(said, "taken over") != 1 {
				t.Errorf("it says %s", said)
			}
		})
	}
}
