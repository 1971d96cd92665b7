package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// images are what a service has under a name.
func images(tb testing.TB, s *glancetest.Server, name string) []found {
	tb.Helper()
	s.Settle(tb)
	return named(tb, s.URL, "", name)
}

// TestUploadFaults has the service fail an upload in every way. Each has its
// errno, nothing is left at the service, the draft stays with the reason, and
// trying again works.
func TestUploadFaults(t *testing.T) {
	t.Parallel()
	creates := func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/images")
	}
	upload := func(f glancetest.Fault) []glancetest.Fault {
		f.Match = glancetest.IsUpload
		return []glancetest.Fault{f}
	}
	const half = 1 << 20
	for name, c := range map[string]struct {
		faults []glancetest.Fault
		want   string // of what cp says; "" if it is to succeed
	}{
		"create 409":          {[]glancetest.Fault{{Match: creates, Status: 409, Message: "exists"}}, "File exists"},
		"create 413":          {[]glancetest.Fault{{Match: creates, Status: 413, Message: "too many"}}, "Disk quota exceeded"},
		"create 403":          {[]glancetest.Fault{{Match: creates, Status: 403}}, "Permission denied"},
		"create, answer lost": {[]glancetest.Fault{{Match: creates, Break: glancetest.DropAnswer, Times: 1}}, ""},
		"create, no answer":   {[]glancetest.Fault{{Match: creates, Break: glancetest.Drop}}, "Input/output error"},
		"409":                 {upload(glancetest.Fault{Status: 409, Message: "busy"}), "Device or resource busy"},
		"413":                 {upload(glancetest.Fault{Status: 413, Message: "too large"}), "Disk quota exceeded"},
		"400":                 {upload(glancetest.Fault{Status: 400, Message: "bad format"}), "Invalid argument"},
		"401 always":          {upload(glancetest.Fault{Status: 401}), "Permission denied"},
		"503 thrice":          {upload(glancetest.Fault{Status: 503, Times: 3}), ""},
		"503 always":          {upload(glancetest.Fault{Status: 503}), "Input/output error"},
		"cut once":            {upload(glancetest.Fault{Break: glancetest.CutUpload, After: half, Times: 1}), ""},
		"cut always":          {upload(glancetest.Fault{Break: glancetest.CutUpload, After: half}), "Input/output error"},
		"stall":               {upload(glancetest.Fault{Break: glancetest.StallUpload, After: half}), "Connection timed out"},
		"answer lost":         {upload(glancetest.Fault{Break: glancetest.DropAnswer, Times: 1}), ""},
		"wrong bytes":         {upload(glancetest.Fault{Garble: true}), "Input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			source, data := noiseFile(t, 2*half+5)
			m := mount(t, "--endpoint", s.URL, "--timeout", "2s")
			draft := filepath.Join(m.Dir, "incoming/disk")
			s.SetFaults(c.faults...)
			_, err := try(nil, "cp", source, draft)
			s.SetFaults()
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("want %q: %v", c.want, err)
				}
				if all := images(t, s, "disk"); len(all) != 0 {
					t.Errorf("left at the service: %+v", all)
				}
				if why := reason(t, draft); why == "" || !strings.Contains(m.Stderr.String(), why) {
					t.Errorf("the reason given is %q, the log has\n%s", why, m.Stderr)
				}
				if u := uploads(t, m); len(u) != 1 || u[0].Name != "disk" || u[0].State != "failed" || u[0].Size != int64(len(data)) || u[0].Error == "" {
					t.Errorf("status: %+v", u)
				}
				if out := string(run(t, "glancefs", "status", m.Dir)); !strings.Contains(out, "disk: 2 MiB; ") {
					t.Errorf("status: %s", out)
				}
				run(t, "cmp", source, draft)
				run(t, "mv", draft, draft+".tmp")
				run(t, "mv", draft+".tmp", draft)
			}
			if all := images(t, s, "disk"); len(all) != 1 || all[0].Status != "active" {
				t.Errorf("images: %+v", all)
			}
			sha512sum(t, draft, data)
			if n := s.DataRequests(); n != 0 {
				t.Errorf("%d requests for data", n)
			}
		})
	}
}

// status is what status.json tells of one draft.
type status struct {
	Name, State, Error string
	Size               int64 `json:"size_bytes"`
	Sent               int64 `json:"sent_bytes"`
}

func uploads(tb testing.TB, m *Mount) []status {
	tb.Helper()
	var s struct{ Uploads []status }
	if err := json.Unmarshal(run(tb, "cat", filepath.Join(m.Dir, ".glancefs/status.json")), &s); err != nil {
		tb.Fatal(err)
	}
	return s.Uploads
}

// TestUploadToken has tokens expire between the copying and the upload, once and
// for good.
func TestUploadToken(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	i := newIssuer(t, s.URL)
	source, data := noiseFile(t, 1<<20)
	m := mountEnv(t, i.environ(), "--timeout", "2s")
	s.SetFaults(glancetest.Fault{Match: glancetest.Token(tokenName(i.issued.Load())), Status: http.StatusUnauthorized})
	draft := filepath.Join(m.Dir, "incoming/disk")
	run(t, "cp", source, draft)
	sha512sum(t, draft, data)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Status: http.StatusUnauthorized})
	if _, err := try(nil, "cp", source, filepath.Join(m.Dir, "incoming/other")); err == nil || !strings.Contains(err.Error(), "Input/output error") {
		t.Errorf("every token is refused: %v", err)
	}
	s.SetFaults()
	if all := images(t, s, "other"); len(all) != 0 {
		t.Errorf("left at the service: %+v", all)
	}
}

// A copying is a cp from a pipe, which the test fills as it likes.
type copying struct {
	*exec.Cmd
	in io.WriteCloser
}

func copyTo(t *testing.T, path string) *copying {
	t.Helper()
	c, err := command(t.Context(), nil, "cp", "/dev/stdin", path)
	if err != nil {
		t.Fatal(err)
	}
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &copying{c, in}
}

// arrived waits until a draft has a size.
func arrived(t *testing.T, path string, size int64) {
	t.Helper()
	err := eventually(fmt.Sprint(size, " bytes in ", path), func() (bool, error) {
		out, err := try(nil, "stat", "-c", "%s", path)
		return strings.TrimSpace(string(out)) == fmt.Sprint(size), err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilledWriter interrupts and kills cp in the midst of it: no image comes of
// it, and the draft can be gone on with.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	_, data := noiseFile(t, 10<<20)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		for _, percent := range []int{10, 50, 90} {
			t.Run(fmt.Sprintf("%v at %d%%", signal, percent), func(t *testing.T) {
				draft := filepath.Join(m.Dir, "incoming", fmt.Sprintf("%d-%d", signal, percent))
				part := data[:len(data)*percent/100]
				c := copyTo(t, draft)
				c.in.Write(part)
				arrived(t, draft, int64(len(part)))
				c.Process.Signal(signal)
				if err := c.Wait(); err == nil {
					t.Fatal("cp survived")
				}
				if all := images(t, s, filepath.Base(draft)); len(all) != 0 {
					t.Errorf("it has made %+v", all)
				}
				if why := reason(t, draft); !strings.Contains(why, fmt.Sprint("signal ", int(signal))) {
					t.Errorf("the reason given is %q", why)
				}
				sha512sum(t, draft, part)
				if percent == 50 {
					run(t, "rm", draft)
					if _, err := try(nil, "stat", draft); err == nil {
						t.Error("it is there after rm")
					}
					return
				}
				// Go on where it was cut off, under a name that waits.
				run(t, "mv", draft, draft+".part")
				rest, err := command(t.Context(), nil, "dd", "of="+draft+".part", "oflag=append", "conv=notrunc", "status=none")
				if err != nil {
					t.Fatal(err)
				}
				rest.Stdin = bytes.NewReader(data[len(part):])
				if out, err := rest.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if all := images(t, s, filepath.Base(draft)); len(all) != 0 {
					t.Errorf("it has made %+v", all)
				}
				run(t, "mv", draft+".part", draft)
				sha512sum(t, draft, data)
				if all := images(t, s, filepath.Base(draft)); len(all) != 1 {
					t.Errorf("mv has made %+v", all)
				}
			})
		}
	}
}

// TestInterruptedClose interrupts a cp that waits for its upload: cp ends at
// once, the upload goes on. Removing the draft ends that too.
func TestInterruptedClose(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	source, data := noiseFile(t, 3<<20)
	id := s.Add(t, "read", data)
	m := mount(t, "--endpoint", s.URL, "--timeout", "10m")
	for _, discard := range []bool{false, true} {
		s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Times: 1, Break: glancetest.StallUpload, After: 1 << 20})
		draft := filepath.Join(m.Dir, "incoming", fmt.Sprint("discard-", discard))
		cp, err := command(t.Context(), nil, "cp", source, draft)
		if err != nil {
			t.Fatal(err)
		}
		if err := cp.Start(); err != nil {
			t.Fatal(err)
		}
		err = eventually("the upload to stand still", func() (bool, error) {
			u := uploads(t, m)
			return len(u) == 1 && u[0].State == "uploading" && u[0].Sent >= 1<<20, fmt.Errorf("%+v", u)
		})
		if err != nil {
			t.Fatal(err)
		}
		// While it stands still all else goes on.
		for i := range 5 {
			run(t, "cp", source, filepath.Join(m.Dir, "incoming", fmt.Sprintf("other-%t-%d", discard, i)))
		}
		sha512sum(t, filepath.Join(m.Dir, "images", id, "data"), data)
		if _, err := try(nil, "sh", "-c", `echo x >>"$1"`, "sh", draft); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Errorf("written while it is sent: %v", err)
		}
		begun := time.Now()
		cp.Process.Signal(syscall.SIGINT)
		cp.Wait()
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("cp took %v to end", took)
		}
		if discard {
			run(t, "rm", draft)
		}
		s.SetFaults()
		err = eventually("the upload to end", func() (bool, error) {
			u := uploads(t, m)
			return len(u) == 0, fmt.Errorf("%+v", u)
		})
		if err != nil {
			t.Fatal(err)
		}
		if discard {
			err := eventually("the image to go", func() (bool, error) {
				return len(images(t, s, filepath.Base(draft))) == 0, nil
			})
			if err != nil {
				t.Error(err)
			}
		} else {
			sha512sum(t, draft, data)
		}
	}
}

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

// TestFullDisk runs out of space: the writer is told, at once, and nothing comes
// of it. What is cached makes way first.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 40<<20)
	id := s.Add(t, "cached", data)
	require(t)
	dir, err := os.MkdirTemp(scratch(), "tmpfs")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", dir)
	t.Cleanup(func() { try(nil, "umount", "-l", dir) })
	m := mount(t, "--endpoint", s.URL, "--cache-dir", dir, "--cache-size", "1GiB")
	run(t, "cat", filepath.Join(m.Dir, "images", id, "data"))
	source, want := noiseFile(t, 45<<20)
	draft := filepath.Join(m.Dir, "incoming/fits")
	run(t, "cp", source, draft)
	sha512sum(t, draft, want)
	source, want = noiseFile(t, 100<<20)
	for name, how := range map[string]string{"cp": `cp "$1" "$2"`, "dd": `dd if="$1" of="$2" bs=1M status=none`} {
		draft := filepath.Join(m.Dir, "incoming", name)
		if _, err := try(nil, "sh", "-c", how, "sh", source, draft); err == nil || !strings.Contains(err.Error(), "No space left on device") {
			t.Errorf("%s: %v", name, err)
		}
		if all := images(t, s, name); name == "cp" && len(all) != 0 {
			t.Errorf("%s has made %+v", name, all)
		}
		if _, err := try(nil, "rm", draft); err != nil {
			t.Error(err)
		}
	}
	small, want := noiseFile(t, 1<<20)
	run(t, "cp", small, filepath.Join(m.Dir, "incoming/small"))
	sha512sum(t, filepath.Join(m.Dir, "incoming/small"), want)
}

// TestReadOnly: nothing changes anything.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	id := s.Add(t, "disk", noise(t.Name(), 1000))
	queued := s.AddQueued(t, "queued")
	source, _ := noiseFile(t, 1000)
	m := mount(t, "--endpoint", s.URL, "--read-only")
	s.Reset()
	at := func(path string) string { return filepath.Join(m.Dir, path) }
	for _, c := range [][]string{
		{"cp", source, at("incoming/x")}, {"touch", at("incoming/x")}, {"mkdir", at("incoming/x")}, {"ln", "-s", "x", at("incoming/x")},
		{"cp", source, at("images/" + queued + "/data")}, {"truncate", "-s", "1", at("images/" + queued + "/data")},
		{"rm", "-f", at("images/" + id + "/data")}, {"rmdir", at("images/" + id)}, {"chmod", "600", at("images/" + id + "/data")},
		{"touch", at("images/" + id + "/data")}, {"touch", at("images/" + id + "/members/x")}, {"mkdir", at("images/x")},
		{"rm", at("by-name/disk")}, {"mv", at("incoming"), at("outgoing")}, {"mkdir", at("x")},
		{"setfattr", "-n", "user.glance.name", "-v", "x", at("images/" + id + "/data")},
		{"dd", "if=/dev/null", "conv=notrunc", "of=" + at("images/"+id+"/meta.json")},
	} {
		if _, err := try(nil, c[0], c[1:]...); err == nil || !strings.Contains(err.Error(), "Read-only file system") {
			t.Errorf("%v: %v", c, err)
		}
	}
	run(t, "ls", "-lR", m.Dir)
	for _, r := range s.Requests() {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}
