package integration

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// A feeding is a cp from a pipe, which the test fills as it likes.
type feeding struct {
	*exec.Cmd
	in io.WriteCloser
}

func copyTo(t *testing.T, path string) *feeding {
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
	return &feeding{c, in}
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

// TestInterruptedDD interrupts dd, which closes its file before it ends.
func TestInterruptedDD(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	draft := filepath.Join(m.Dir, "incoming/disk")
	c, err := command(t.Context(), nil, "dd", "of="+draft, "bs=1000")
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
	in.Write(make([]byte, 1000))
	arrived(t, draft, 1000)
	c.Process.Signal(syscall.SIGINT)
	if err := c.Wait(); err == nil {
		t.Fatal("dd survived")
	}
	if all := images(t, s, "disk"); len(all) != 0 {
		t.Errorf("it has made %+v", all)
	}
	if why := reason(t, draft); !strings.Contains(why, "interrupted") {
		t.Errorf("the reason given is %q", why)
	}
	run(t, "sh", "-c", `printf "%1000s" x | dd of="$1" oflag=append conv=notrunc`, "sh", draft)
	if all := images(t, s, "disk"); len(all) != 1 || all[0].Size != 2000 {
		t.Errorf("images: %+v", all)
	}
}

// TestInterruptedRsync interrupts rsync --partial, which gives what it has the name
// of what there would be. That is no image until all of it is there.
func TestInterruptedRsync(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	source, data := noiseFile(t, 4<<20)
	draft := filepath.Join(m.Dir, "incoming/disk")
	c, err := command(t.Context(), nil, "rsync", "--partial", "--bwlimit=256", source, draft)
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try(nil, "sh", "-c", `until test -s "$1"/.disk.??????; do sleep 0.1; done`, "sh", filepath.Dir(draft)); err != nil {
		t.Fatal(err)
	}
	c.Process.Signal(syscall.SIGINT)
	if err := c.Wait(); err == nil {
		t.Fatal("rsync survived")
	}
	err = eventually("the partial file", func() (bool, error) {
		_, err := try(nil, "test", "-e", draft)
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := images(t, s, "disk"); len(all) != 0 {
		t.Fatalf("it has made %+v", all)
	}
	if why := reason(t, draft); !strings.Contains(why, "rsync") {
		t.Errorf("the reason given is %q", why)
	}
	run(t, "rsync", "--partial", source, draft)
	sha512sum(t, draft, data)
	if all := images(t, s, "disk"); len(all) != 1 {
		t.Errorf("images: %+v", all)
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
