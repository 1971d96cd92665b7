package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glancefs/glanceapi/glancetest"
)

// worker returns the process that serves a mount at present.
func (m *Mount) worker() (int, error) {
	var pid int
	err := eventually("a worker", func() (bool, error) {
		out, err := try(nil, "pgrep", "-P", strconv.Itoa(m.cmd.Process.Pid), "-x", "glancefs-worker")
		if err != nil {
			return false, err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
		return err == nil, err
	})
	return pid, err
}

// killWorker kills the process that serves a mount.
func (m *Mount) killWorker(tb testing.TB) {
	tb.Helper()
	pid, err := m.worker()
	if err != nil {
		tb.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	err = eventually("the end of the worker", func() (bool, error) {
		return syscall.Kill(pid, 0) == syscall.ESRCH, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// TestKeeperKilled kills the process that keeps a mount: the one that serves it
// does not outlive it, nobody hangs, and the mountpoint can be used again.
func TestKeeperKilled(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	m.cmd.Process.Kill()
	<-m.done
	err := eventually("the end of the worker", func() (bool, error) {
		_, err := try(nil, "stat", "-f", m.Dir)
		return err != nil && strings.Contains(err.Error(), "not connected"), err
	})
	if err != nil {
		t.Error(err)
	}
	run(t, "glancefs", "umount", m.Dir)
	m.Again(t)
	sha512sum(t, file, data)
}

// TestNoWorkerLives kills every worker once it serves: the fifth is the last one.
func TestNoWorkerLives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	for i := range deathsPerMinute + 1 {
		// Which it looks for when it serves.
		err := eventually("the worker to look for the service", func() (bool, error) {
			return strings.Count(m.Stderr.String(), "is reached") == i, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m.killWorker(t)
	}
	select {
	case <-m.done:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if _, mounted := connection(m.Dir); mounted || m.cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("mounted: %t; %s", mounted, m.cmd.ProcessState)
	}
	m.says(t, "no worker lives")
}

// TestNoWorkerStarts has no worker start for a while, more often than may die: the
// mount waits for one.
func TestNoWorkerStarts(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	var had unix.Rlimit
	if err := unix.Prlimit(m.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &had); err != nil {
		t.Fatal(err)
	}
	limit := func(files uint64) {
		if err := unix.Prlimit(m.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: had.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(3)
	m.killWorker(t)
	err := eventually("no worker to start", func() (bool, error) {
		return strings.Count(m.Stderr.String(), "no worker") > deathsPerMinute+1, nil
	})
	if err != nil {
		t.Error(err)
	}
	limit(had.Cur)
	sha512sum(t, filepath.Join(m.Dir, "images", id, "data"), data)
}

// TestCacheSpoiled has a cache directory that no other process can open: an upgrade is
// refused, and a death has everybody wait until that is mended.
func TestCacheSpoiled(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	lock := filepath.Join(filepath.Dir(m.Dir), "cache", "lock")
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := try(nil, "glancefs", "upgrade", m.Dir); err == nil {
		t.Errorf("upgraded: %s", out)
	}
	sha512sum(t, file, data)
	m.killWorker(t)
	err := eventually("no worker to serve", func() (bool, error) {
		return strings.Count(m.Stderr.String(), "another is tried") > deathsPerMinute+1, nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	sha512sum(t, file, data)
	m.says(t, "not upgraded")
	if said := m.Stderr.String(); strings.Count(said, "not upgraded") != 1 {
		t.Errorf("it says %s", said)
	}
}

// TestParentRenamed has the worker of a mount die that is elsewhere by then.
func TestParentRenamed(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL, "--cache-dir", t.TempDir())
	before := filepath.Dir(m.Dir)
	after := before + "-renamed"
	if err := os.Rename(before, after); err != nil {
		t.Fatal(err)
	}
	m.killWorker(t)
	sha512sum(t, filepath.Join(after, filepath.Base(m.Dir), "images", id, "data"), data)
	if err := os.Rename(after, before); err != nil {
		t.Fatal(err)
	}
}

// TestAccountSpoiled has the worker die while the account cannot be read: what is open
// goes on, with what is here at once, and with the rest when the account is mended.
func TestAccountSpoiled(t *testing.T) {
	t.Parallel()
	require(t)
	for name, c := range map[string]struct {
		account string // %s is the service
		flags   func(file string) []string
	}{
		"clouds.yaml":       {"clouds: {play: {auth_type: none, auth: {endpoint: %s}}}", func(string) []string { return []string{"--os-cloud", "play"} }},
		"file of variables": {"# of %s\n", func(file string) []string { return []string{"--os-cloud", "play", "--env-file", file} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			data := noise(t.Name(), 8<<20)
			id := s.Add(t, "disk", data)
			dir := t.TempDir()
			clouds, file := filepath.Join(dir, "clouds.yaml"), filepath.Join(dir, name)
			write := func(path, text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(clouds, fmt.Sprintf("clouds: {play: {auth_type: none, auth: {endpoint: %s}}}", s.URL))
			account := fmt.Sprintf(c.account, s.URL)
			write(file, account)
			m := mountEnv(t, []string{"OS_CLIENT_CONFIG_FILE=" + clouds}, c.flags(file)...)
			f, err := os.Open(filepath.Join(m.Dir, "images", id, "data"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			reads := func(off int64) {
				got := make([]byte, 4096)
				if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, data[off:off+4096]) {
					t.Errorf("at %d: %v", off, err)
				}
			}
			reads(0)
			saved := filepath.Join(filepath.Dir(m.Dir), "cache", "catalog.json")
			err = eventually("what is known to be saved", func() (bool, error) {
				b, err := os.ReadFile(saved)
				return bytes.Contains(b, []byte(id)), err
			})
			if err != nil {
				t.Fatal(err)
			}
			write(file, "no account")
			m.killWorker(t)
			reads(0)
			read := make(chan struct{})
			go func() {
				defer close(read)
				reads(5 << 20)
			}()
			m.says(t, "is not reached")
			select {
			case <-read: // too soon
			case <-time.After(time.Second):
			}
			write(file, account)
			<-read
		})
	}
}
