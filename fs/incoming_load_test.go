package fs

import (
	"path/filepath"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestResumeSeveral has the data of several queued images been sent when the last mount
// ended, each of which is settled while the others are looked for. It tells with -race.
func TestResumeSeveral(t *testing.T) {
	s := glancetest.New(t)
	data := []byte("the bytes of a draft")
	var all []string
	in := incomingOf(t, s, func(dir string) {
		for range 10 {
			id := s.Add(t, "disk", data)
			leave(t, filepath.Join(dir, id+".data"), data)
			leave(t, filepath.Join(dir, id+".json"), about{Image: id, Endpoint: s.URL, Tried: id})
			all = append(all, id)
		}
	})
	in.resume()
	in.work.Wait()
	for _, id := range all {
		if in.filler(id) != nil {
			t.Errorf("the draft of image %s is left", id)
		}
	}
}
