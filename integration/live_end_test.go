package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestReadyUnread mounts where nobody takes the line that says so.
func TestReadyUnread(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m, err := newMount(nil, "--endpoint", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c, err := command(t.Context(), nil, "glancefs", append(append([]string{"mount"}, m.args...), m.Dir)...)
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = full
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	err = eventually("the mount", func() (bool, error) {
		_, err := try(nil, "glancefs", "status", m.Dir)
		return err == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	c.Process.Signal(syscall.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// TestHungEnds stops a mount whose worker hangs: it ends, and the mount with it. Until
// then no command waits for it for ever.
func TestHungEnds(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	pid, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var commands sync.WaitGroup
	for _, args := range [][]string{{"status", m.Dir}, {"upgrade", m.Dir}, {"warm", m.Dir, "disk"}} {
		commands.Go(func() {
			if _, err := try(nil, "glancefs", args...); err == nil || !strings.Contains(err.Error(), "does not answer") {
				t.Errorf("%s: %v", args[0], err)
			}
		})
	}
	commands.Wait()
	m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.done:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if _, mounted := connection(m.Dir); mounted || m.cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("mounted: %t; %s", mounted, m.cmd.ProcessState)
	}
}

// TestFirstKilled kills the first worker before it serves: the mount ends with a
// status of mount(8) and says why.
func TestFirstKilled(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang})
	m, err := newMount(nil, "--endpoint", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- m.start() }()
	err = eventually("a worker", func() (bool, error) {
		out, err := try(nil, "pgrep", "-f", "^glancefs worker .* "+m.Dir+"$")
		if err != nil {
			return false, err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		return err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-ended; !strings.Contains(fmt.Sprint(err), "exit status 2\nglancefs: process") || !strings.Contains(fmt.Sprint(err), "signal: killed") {
		t.Errorf("it ended with %v", err)
	}
	s.SetFaults()
}
