package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestUpgrade replaces the program under a mount: the new one goes on with what is
// open, and one that does not work does not get so far.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 4<<20)
	id := s.Add(t, "disk", data)
	bin := upgradable(t)
	m := mountAs(t, []string{"env", "PATH=" + bin}, nil, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reads := func() {
		t.Helper()
		got := make([]byte, 4096)
		if _, err := f.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, data[1<<20:1<<20+4096]) {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"next", "last"} {
		replace(t, bin, version)
		if out := run(t, "glancefs", "upgrade", m.Dir); !bytes.HasPrefix(out, []byte("glancefs "+version+", process ")) {
			t.Errorf("%q", out)
		}
		reads()
	}
	for what, text := range map[string]string{"no program": "no program", "one that ends": "#!/bin/false\n"} {
		path := filepath.Join(bin, "new")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, filepath.Join(bin, "glancefs")); err != nil {
			t.Fatal(err)
		}
		if out, err := try(nil, "glancefs", "upgrade", m.Dir); err == nil {
			t.Errorf("upgraded to %s: %q", what, out)
		}
		reads()
		if out := run(t, "glancefs", "status", m.Dir); !bytes.Contains(out, []byte(" of glancefs last, ")) || !bytes.Contains(out, []byte("came to nothing")) {
			t.Errorf("after an upgrade to %s: %q", what, out)
		}
	}
	m.killWorker(t) // what is at the path now does not matter
	reads()
}

// upgradable is a directory with a glancefs of its own.
func upgradable(t *testing.T) string {
	t.Helper()
	require(t)
	dir, err := os.MkdirTemp(scratch(), "bin")
	if err != nil {
		t.Fatal(err)
	}
	replace(t, dir, "first")
	return dir
}

// replace puts a glancefs of another version in the place of the one in a
// directory, as a package does.
func replace(t *testing.T, dir, version string) {
	t.Helper()
	path := filepath.Join(dir, "new")
	out, err := exec.Command("go", "build", "-ldflags=-X main.version="+version, "-o", path, "glancefs").CombinedOutput()
	if err == nil {
		err = os.Rename(path, filepath.Join(dir, "glancefs"))
	}
	if err != nil {
		t.Fatalf("building glancefs: %v: %s", err, out)
	}
}

// TestGivesWayDead has workers that hang be replaced, more of them than may die: each
// is ended, and its successor serves.
func TestGivesWayDead(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	for range deathsPerMinute + 2 {
		pid, err := m.worker()
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if err := m.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		err = eventually("the end of the worker", func() (bool, error) {
			return syscall.Kill(pid, 0) == syscall.ESRCH, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		sameAt(t, filepath.Join(m.Dir, "images", id, "data"), data, 4096, 4096)
	}
	m.says(t, "was to give way")
}

// preparing waits until a mount has another worker beside the one that serves it, or
// has had it.
func (m *Mount) preparing(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(m.Stderr.String(), "taken over"); {
		out, err := try(nil, "pgrep", "-P", strconv.Itoa(m.cmd.Process.Pid))
		if len(strings.Fields(string(out))) > 1 {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("no other worker: %q, %v", out, err)
		}
	}
}

// TestUpgradeCrossed has signals come while another worker is prepared: none of them
// is lost, and none is the end of that worker.
func TestUpgradeCrossed(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	for signal, log := range map[syscall.Signal]string{syscall.SIGHUP: "reloaded", syscall.SIGUSR2: ""} {
		m := mount(t, "--endpoint", s.URL)
		upgrades := 1
		if signal == syscall.SIGUSR2 {
			upgrades = 2
		}
		m.cmd.Process.Signal(syscall.SIGUSR2)
		m.preparing(t)
		m.cmd.Process.Signal(signal)
		err := eventually(fmt.Sprint(upgrades, " upgrades"), func() (bool, error) {
			n, err := m.stats("glancefs_restarts_total")
			said := m.Stderr.String()
			return int(n) == upgrades && strings.Contains(said, log), fmt.Errorf("%w: %s", err, said)
		})
		if err != nil {
			t.Errorf("%v: %v", signal, err)
		}
		if out := run(t, "glancefs", "status", m.Dir); bytes.Contains(out, []byte("came to nothing")) {
			t.Errorf("%v: %s", signal, out)
		}
	}
}

// TestStopCrossesUpgrade ends a mount at several moments of an upgrade, while a draft
// is being sent: there is time for that.
func TestStopCrossesUpgrade(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		s := glancetest.New(t)
		m := mount(t, "--endpoint", s.URL)
		_, data := noiseFile(t, 1<<20)
		s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Latency: 2 * time.Second})
		cp := copyTo(t, filepath.Join(m.Dir, "incoming", "disk"))
		cp.in.Write(data)
		cp.in.Close()
		err := eventually("the upload", func() (bool, error) {
			u := uploads(t, m)
			return len(u) == 1 && u[0].State == "uploading", fmt.Errorf("%+v", u)
		})
		if err != nil {
			t.Fatal(err)
		}
		m.cmd.Process.Signal(syscall.SIGUSR2)
		time.Sleep(time.Duration(i) * 40 * time.Millisecond)
		m.Stop(t)
		if err := cp.Wait(); err != nil {
			t.Errorf("%d: %v: %s", i, err, m.Stderr)
		}
	}
}
