package integration

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// TestOldServers makes images at servers that speak v1 only, from 2011 on, each
// with the habits of its release.
func TestOldServers(t *testing.T) {
	t.Parallel()
	for name, release := range map[string]server.Release{
		"Bexar": server.Bexar, "Cactus": server.Cactus, "Diablo": server.Diablo, "Essex": server.Essex,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t, func(s *server.Server) { s.Release = release })
			source, data := noiseFile(t, 3<<20)
			m := mount(t, "--endpoint", s.URL, "--timeout", "2s")
			draft := filepath.Join(m.Dir, "incoming/disk")
			run(t, "cp", source, draft)
			sha512sum(t, draft, data)
			if n := s.DataRequests(); n != 0 {
				t.Errorf("%d requests for data", n)
			}
			id := strings.Split(string(run(t, "readlink", draft)), "/")[2]
			rec, ok := s.Images.Image(id)
			if !ok || rec.Status != "active" || *rec.Size != int64(len(data)) {
				t.Errorf("%+v", rec)
			}

			// One that is cut off is not left behind as a short image.
			s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.CutUpload, After: 1 << 20})
			if _, err := try(nil, "cp", source, draft+"2"); err == nil {
				t.Error("a cut upload succeeds")
			}
			s.SetFaults()
			// The first two list nothing that is not public.
			if list := string(run(t, "ls", filepath.Join(m.Dir, "images"))); release >= server.Diablo && strings.Count(list, "\n") != 1 {
				t.Errorf("images: %q", list)
			}
			run(t, "mv", draft+"2", draft+".tmp")
			run(t, "mv", draft+".tmp", draft+"2")
			sha512sum(t, draft+"2", data)
		})
	}
}

// TestKilledByFilling has the upload to a queued image break off, which is the end of
// the image on v1: what was written is found in incoming/.
func TestKilledByFilling(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t, func(s *server.Server) { s.Release = server.Queens })
	source, data := noiseFile(t, 3<<20)
	m := mount(t, "--endpoint", s.URL, "--api-version", "v1", "--timeout", "2s")
	id := s.AddQueued(t, "reserved")
	file, draft := filepath.Join(m.Dir, "images", id, "data"), filepath.Join(m.Dir, "incoming", ".data-of-"+id)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.CutUpload, After: 1 << 20})
	if _, err := try(nil, "cp", source, file); err == nil {
		t.Error("a cut upload succeeds")
	}
	if rec, _ := s.Images.Image(id); rec.Status != "killed" {
		t.Errorf("the image is %s", rec.Status)
	}
	s.SetFaults()
	run(t, "cmp", source, draft)
	if why := reason(t, draft); !strings.Contains(why, "killed") {
		t.Errorf("the reason given is %q", why)
	}
	run(t, "mv", draft, filepath.Join(m.Dir, "incoming", "again"))
	sha512sum(t, filepath.Join(m.Dir, "by-name/again/data"), data)
}

// TestLostAnswer has the answer to the creation of an image lost: there is one image.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t, func(s *server.Server) { s.Release = server.Queens })
	s.Add(t, "there", []byte("x"))
	source, data := noiseFile(t, 1<<20)
	m := mount(t, "--endpoint", s.URL, "--api-version", "v1", "--timeout", "5s")
	run(t, "cat", filepath.Join(m.Dir, "by-name/there/data")) // which shows of what release the service is
	post := func(r *http.Request) bool { return r.Method == http.MethodPost }
	s.SetFaults(glancetest.Fault{Match: post, Break: glancetest.DropAnswer, Times: 1})
	run(t, "cp", source, filepath.Join(m.Dir, "incoming/disk"))
	sha512sum(t, filepath.Join(m.Dir, "by-name/disk/data"), data)
	if all := images(t, s, "disk"); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}
