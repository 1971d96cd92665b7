package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// TestWhatIsOpenStays: an image that is deactivated or deleted on the server
// stays as long as it was for whoever has it open.
func TestWhatIsOpenStays(t *testing.T) {
	for _, end := range []string{"deactivate", "delete"} {
		t.Run(end, func(t *testing.T) {
			s := glancetest.New(t)
			data := noise(t.Name(), 2<<20)
			id := s.Add(t, "disk", data)
			m := mount(t, "--endpoint", s.URL, "--refresh", "100ms")
			file := filepath.Join(m.Dir, "images", id, "data")
			fifo := pipe(t)
			reader, out := piped(t, "sh", "-c", `exec <"$1"; head -c 1000 >/dev/null; dd bs=1M iflag=direct of=/dev/null status=none <"$1"; echo; read x <"$2"; stat -L -c %s /dev/stdin; sha512sum <&0`, "sh", file, fifo)
			if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			method, path := http.MethodDelete, "/v2/images/"+id
			if end == "deactivate" {
				method, path = http.MethodPost, path+"/actions/deactivate"
			}
			run(t, "curl", "-sSf", "-X", method, s.URL+path)
			err := eventually("it not to be opened any more", func() (bool, error) {
				_, err := try(nil, "cat", file)
				return err != nil, errors.New("it can still be opened")
			})
			if err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(fifo, []byte("\n"), 0); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(out)
			if err != nil {
				t.Fatal(err)
			}
			if size := strings.Fields(string(rest))[0]; size != fmt.Sprint(len(data)) {
				t.Errorf("its size is %s", size)
			}
			if err := reader.Wait(); err != nil {
				t.Errorf("%v: %s", err, rest)
			}
		})
	}
}

// TestWhatIsOpenStaysOnceMade: so does one that was made here for who has it open since
// it was a draft.
func TestWhatIsOpenStaysOnceMade(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 2<<20)
	m := mount(t, "--endpoint", s.URL, "--refresh", "100ms")
	entry := filepath.Join(m.Dir, "incoming/disk")
	w, err := os.OpenFile(entry, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	r, err := os.Open(entry)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	id := filepath.Base(filepath.Dir(strings.TrimSpace(string(run(t, "readlink", entry)))))
	run(t, "curl", "-sSf", "-X", http.MethodDelete, s.URL+"/v2/images/"+id)
	err = eventually("it not to be there any more", func() (bool, error) {
		_, err := try(nil, "cat", filepath.Join(m.Dir, "images", id, "data"))
		return err != nil, errors.New("it can still be opened")
	})
	if err != nil {
		t.Error(err)
	}
	got := make([]byte, len(data))
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("reading what is open: %v", err)
	}
}

// TestWarm fetches images whole and has them verified.
func TestWarm(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 9<<20+5)
	id := s.Add(t, "disk", data)
	s.Add(t, "other", data[:1<<20])
	none := s.Add(t, "unsummed", data[:1000], func(r *server.Record) {})
	nothing := s.Add(t, "nothing", nil)
	m := mount(t, "--endpoint", s.URL)
	run(t, "glancefs", "warm", m.Dir, id, "other", none, nothing)
	if n := s.MaxTimesSent(id); n != 1 {
		t.Errorf("a byte was sent %d times", n)
	}
	s.Reset()
	if out := string(run(t, "glancefs", "warm", m.Dir, "disk")); !strings.Contains(out, "complete and verified") {
		t.Errorf("warm says %q", out)
	}
	sha512sum(t, filepath.Join(m.Dir, "images", id, "data"), data)
	if n := s.DataRequests(); n != 0 {
		t.Errorf("%d data requests for a warm image", n)
	}
	if _, err := try(nil, "glancefs", "warm", m.Dir, "disk", "nosuch"); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("an image that is not there: %v", err)
	}
	run(t, "mkdir", filepath.Join(m.Dir, "incoming/reserved"))
	if _, err := try(nil, "glancefs", "warm", m.Dir, "reserved"); err == nil || !strings.Contains(err.Error(), "no data yet: it is queued") {
		t.Errorf("an image without data: %v", err)
	}
}
