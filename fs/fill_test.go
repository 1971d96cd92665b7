package fs

import (
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// TestRefillOfKilled: what was sent for a queued image before, which that has killed, is
// found in incoming/, and nobody goes on asking.
func TestRefillOfKilled(t *testing.T) {
	s := glancetest.New(t, func(s *server.Server) { s.Release = server.Essex })
	id := s.AddQueued(t, "disk")
	in := incomingOf(t, s, func(dir string) {
		leave(t, filepath.Join(dir, "1.data"), []byte("data"))
		leave(t, filepath.Join(dir, "1.json"), about{Image: id, Endpoint: s.URL, Tried: id})
	})
	o := glanceapi.UploadOptions{MD5: "11111111111111111111111111111111"}
	if err := in.t.service.Upload(t.Context(), id, strings.NewReader("x"), 1, o); err == nil {
		t.Fatal("a checksum that is wrong is taken")
	}
	d := in.filler(id)
	in.refill(id, d)
	if found, _, _ := in.find(".data-of-" + id); found != d || in.filler(id) != nil {
		t.Errorf("it is %+v", d.known())
	}
}
