package integration

import (
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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

// TestNoWorkerLives kills every worker: the fifth is the last one.
func TestNoWorkerLives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	for range deathsPerMinute + 1 {
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
	if !strings.Contains(m.Stderr.String(), "no worker lives") {
		t.Errorf("it says %s", m.Stderr)
	}
}
