package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// unknown is a fault of requests for an image of the name unknown, and waits for the
// first of them: who has looked for it waits in the kernel then, and holds the directory.
func unknown() (fault glancetest.Fault, asked func(*testing.T)) {
	come := make(chan struct{})
	first := sync.OnceFunc(func() { close(come) })
	fault.Match = func(r *http.Request) bool {
		is := strings.Contains(r.URL.RawQuery, "unknown")
		if is {
			first()
		}
		return is
	}
	return fault, func(t *testing.T) {
		t.Helper()
		select {
		case <-come:
		case <-time.After(patience):
			t.Fatal("nobody asks for it")
		}
	}
}

// TestNoticeOutlives has the worker die while the kernel is to be told that a name means
// something else, and cannot be, because somebody waits for the worker in its directory.
func TestNoticeOutlives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	fault, asked := unknown()
	fault.Latency = 5 * time.Second
	s.SetFaults(fault)
	looking := make(chan struct{})
	go func() {
		defer close(looking)
		if _, err := os.Stat(filepath.Join(m.Dir, "by-name", "unknown")); !os.IsNotExist(err) {
			t.Error(err)
		}
	}()
	asked(t)
	_, data := noiseFile(t, 1<<20)
	if err := os.WriteFile(filepath.Join(m.Dir, "incoming", "disk"), data, 0o644); err != nil {
		t.Error(err)
	}
	m.killWorker(t)
	<-looking
	sha512sum(t, filepath.Join(m.Dir, "by-name", "disk", "data"), data)
}

// TestNoticeEnds has all of a mount die while the kernel is to be told that a name means
// something else, and cannot be: whoever waits gets an error, and all ends.
func TestNoticeEnds(t *testing.T) {
	t.Parallel()
	require(t)
	for name, as := range map[string][]string{"kept": nil, "a user's": asNobody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			dir := shared(t)
			m, err := newMount([]string{"HOME=" + dir}, "--endpoint", s.URL, "--cache-dir", filepath.Join(dir, "cache"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.finish(t) })
			if as != nil {
				if err := os.Chown(m.Dir, nobody, nobody); err != nil {
					t.Fatal(err)
				}
			}
			m.as = as
			if err := m.start(); err != nil {
				t.Fatal(err)
			}
			command := func(name string, args ...string) ([]byte, error) {
				if as == nil {
					return try(nil, name, args...)
				}
				return runNobody(name, args...)
			}
			fault, asked := unknown()
			fault.Break = glancetest.Hang
			s.SetFaults(fault)
			defer s.SetFaults()
			looked := make(chan error)
			go func() {
				_, err := command("ls", filepath.Join(m.Dir, "by-name", "unknown"))
				looked <- err
			}()
			asked(t)
			if _, err := command("cp", "/etc/passwd", filepath.Join(m.Dir, "incoming", "disk")); err != nil {
				t.Error(err)
			}
			err = eventually("the herald to wait for the kernel", func() (bool, error) {
				out, err := try(nil, "sh", "-c", `cat $(pgrep -g "$1" -x glancefs-herald | sed 's|.*|/proc/&/task/*/stat|')`, "sh", strconv.Itoa(m.cmd.Process.Pid))
				return strings.Contains(string(out), ") D "), err
			})
			if err != nil {
				t.Error(err)
			}
			m.cmd.Process.Kill()
			select {
			case err := <-looked:
				if !strings.Contains(fmt.Sprint(err), "connection abort") {
					t.Errorf("who waited for the mount got %v", err)
				}
			case <-time.After(patience):
				minor, _ := connection(m.Dir)
				os.WriteFile(filepath.Join(connections, minor, "abort"), []byte("1"), 0)
				t.Error("who waits for the mount waits for ever")
			}
			<-m.done
			if _, err := command("glancefs", "umount", m.Dir); err != nil {
				t.Error(err)
			}
		})
	}
}
