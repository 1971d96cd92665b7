package integration

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestKilledUpload kills glancefs at random moments while it makes an image, and
// starts it again: there is one image, which is right, or there is none, and
// then the draft is there, whole if cp had been through.
func TestKilledUpload(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, data := noiseFile(t, 6<<20)
	m := mount(t, "--endpoint", s.URL)
	draft := filepath.Join(m.Dir, "incoming/disk")
	// A service that takes its time, so that there are moments.
	slow := glancetest.Fault{Latency: 40 * time.Millisecond}
	s.SetFaults(slow)
	begun := time.Now()
	run(t, "cp", source, draft)
	takes := time.Since(begun)
	run(t, "rm", draft)
	random := rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	made, kept := 0, 0
	for i := range 20 {
		for _, img := range images(t, s, "disk") {
			run(t, "curl", "-sSf", "-X", "DELETE", s.URL+"/v2/images/"+img.ID)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cp, err := command(ctx, nil, "cp", source, draft)
		if err == nil {
			err = cp.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(takes * 11 / 10))))
		m.Kill9(t)
		copied := cp.Wait() == nil
		cancel()
		run(t, "glancefs", "umount", m.Dir)
		m.Again(t)
		settled(t, m)
		var all []found
		err = eventually("half-made images to go", func() (bool, error) {
			all = images(t, s, "disk")
			return len(all) == 0 || all[0].Status == "active", fmt.Errorf("%+v", all)
		})
		if err != nil {
			t.Fatal(err)
		}
		there := strings.Contains(string(run(t, "ls", filepath.Dir(draft))), "disk")
		switch {
		case len(all) > 1 || len(all) == 1 && all[0].Status != "active":
			t.Fatalf("round %d: %+v", i, all)
		case len(all) == 1:
			made++
			sha512sum(t, filepath.Join(m.Dir, "images", all[0].ID, "data"), data)
			if there {
				if to := string(run(t, "readlink", draft)); !strings.Contains(to, all[0].ID) {
					t.Errorf("round %d: beside the image is a draft", i)
				}
				run(t, "rm", draft)
			}
		case there:
			kept++
			got := run(t, "cat", draft)
			if !bytes.HasPrefix(data, got) {
				t.Errorf("round %d: the draft has other bytes", i)
			}
			run(t, "rm", draft)
		case copied:
			t.Errorf("round %d: cp was content, and there is nothing", i)
		}
	}
	t.Logf("%d images made, %d drafts kept", made, kept)
}

// settled waits until a mount has settled what an earlier one was about, but for
// images that were asked for and may or may not come.
func settled(t *testing.T, m *Mount) {
	t.Helper()
	err := eventually("what was under way to be settled", func() (bool, error) {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(m.Dir), "cache/drafts/*.attempt"))
		for _, file := range files {
			if b, err := os.ReadFile(file); err != nil || !bytes.Contains(b, []byte(`"asked"`)) {
				return false, fmt.Errorf("%s (%w)", b, err)
			}
		}
		return true, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUploadDisbelieved has the account of a mount be worth nothing for a while, from the
// middle of an upload on: what that has left at the service is seen to afterwards.
func TestUploadDisbelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refused func(*http.Request) bool
		want    int // images
	}{
		"before it is sent": {func(r *http.Request) bool { return glancetest.IsUpload(r) || r.Method == http.MethodDelete }, 0},
		"once it is sent":   {func(r *http.Request) bool { return !glancetest.IsUpload(r) && strings.Contains(r.URL.Path, "/images/") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			source, data := noiseFile(t, 1<<20)
			m := mount(t, "--endpoint", s.URL)
			draft := filepath.Join(m.Dir, "incoming/disk")
			s.SetFaults(glancetest.Fault{Match: c.refused, Status: http.StatusUnauthorized})
			if _, err := try(nil, "cp", source, draft); err == nil || !strings.Contains(err.Error(), "Permission denied") {
				t.Errorf("an account that is worth nothing: %v", err)
			}
			run(t, "cmp", source, draft)
			s.SetFaults()
			err := eventually("the image to be seen to", func() (bool, error) {
				all := images(t, s, "disk")
				return len(all) == c.want, fmt.Errorf("%+v", all)
			})
			if err != nil {
				t.Fatal(err)
			}
			settled(t, m)
			if c.want == 0 {
				run(t, "mv", draft, draft+".tmp")
				run(t, "mv", draft+".tmp", draft)
			}
			if all := images(t, s, "disk"); len(all) != 1 || all[0].Status != "active" {
				t.Errorf("images: %+v", all)
			}
			run(t, "test", "-L", draft)
			sha512sum(t, draft, data)
		})
	}
}

// TestFilledWhenGone deletes a queued image whose data is being written: who writes it is
// told when it closes it, and the bytes are kept.
func TestFilledWhenGone(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	_, data := noiseFile(t, 1<<20)
	m := mount(t, "--endpoint", s.URL, "--allow-delete")
	id := s.AddQueued(t, "disk")
	image := filepath.Join(m.Dir, "images", id)
	cp := copyTo(t, filepath.Join(image, "data"))
	cp.in.Write(data[:1<<19])
	arrived(t, filepath.Join(image, "data"), 1<<19)
	run(t, "rmdir", image)
	cp.in.Write(data[1<<19:])
	cp.in.Close()
	if err := cp.Wait(); err == nil {
		t.Error("it is told that all is well")
	}
	draft := filepath.Join(m.Dir, "incoming/.data-of-"+id)
	sha512sum(t, draft, data)
	if why := reason(t, draft); !strings.Contains(why, "gone") {
		t.Errorf("the reason given is %q", why)
	}
	run(t, "mv", draft, filepath.Join(m.Dir, "incoming/disk"))
	sha512sum(t, filepath.Join(m.Dir, "incoming/disk"), data)
}

// TestDeletedBefore has who serves a mount die when the service has deleted an image and it
// does not know yet: what leads to the image goes all the same.
func TestDeletedBefore(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL, "--allow-delete")
	entry := filepath.Join(m.Dir, "incoming/disk")
	run(t, "mkdir", entry)
	id := filepath.Base(strings.TrimSpace(string(run(t, "readlink", entry))))
	deletes := func(r *http.Request) bool { return r.Method == http.MethodDelete }
	s.SetFaults(glancetest.Fault{Match: deletes, Times: 1, Break: glancetest.Hang})
	rmdir, err := command(t.Context(), nil, "rmdir", filepath.Join(m.Dir, "images", id))
	if err == nil {
		err = rmdir.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = eventually("the deletion to be asked for", func() (bool, error) { return s.Suffered() > 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	run(t, "curl", "-sSf", "-X", http.MethodDelete, s.URL+"/v2/images/"+id)
	m.killWorker(t)
	if err := rmdir.Wait(); err != nil {
		t.Errorf("rmdir: %v", err)
	}
	if _, err := os.Lstat(entry); !os.IsNotExist(err) {
		t.Errorf("what leads to it: %v", err)
	}
}
