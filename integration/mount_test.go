package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// connections is where the kernel lets root abort a FUSE connection.
const connections = "/sys/fs/fuse/connections"

// A Mount is one glancefs process and what it has mounted.
type Mount struct {
	Dir    string  // the mountpoint
	Stderr *stderr // of the process

	env, args []string
	as        []string // a program, with its arguments, that becomes glancefs
	cmd       *exec.Cmd
	done      chan struct{} // closed when the process has ended
}

// mount runs glancefs mount with these flags on a fresh mountpoint, with a cache
// directory of its own unless the flags name one, until it is ready. When the
// test ends, the process has to stop cleanly on SIGTERM.
func mount(tb testing.TB, args ...string) *Mount {
	tb.Helper()
	return mountEnv(tb, nil, args...)
}

// mountEnv is mount with variables for the process.
func mountEnv(tb testing.TB, env []string, args ...string) *Mount {
	tb.Helper()
	return mountAs(tb, nil, env, args...)
}

// mountAs is mountEnv by way of another program, such as setpriv.
func mountAs(tb testing.TB, as, env []string, args ...string) *Mount {
	tb.Helper()
	require(tb)
	m, err := newMount(env, args...)
	if err != nil {
		tb.Fatal(err)
	}
	m.as = as
	tb.Cleanup(func() { m.finish(tb) })
	if err := m.start(); err != nil {
		tb.Fatal(err)
	}
	return m
}

// newMount makes the directories of a mount that is started later.
func newMount(env []string, args ...string) (*Mount, error) {
	dir, err := os.MkdirTemp(scratch(), "mount")
	if err != nil {
		return nil, err
	}
	// Readers under another uid must get through to the mountpoint.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	m := &Mount{Dir: filepath.Join(dir, "mnt"), env: env, args: args}
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--cache-dir") }) {
		m.args = append([]string{"--cache-dir", filepath.Join(dir, "cache")}, args...)
	}
	return m, os.Mkdir(m.Dir, 0o755)
}

// refused runs a glancefs mount that has to fail by itself, and returns the one
// line it said.
func refused(env []string, args ...string) (line string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := command(ctx, env, "glancefs", append([]string{"mount"}, args...)...)
	if err != nil {
		return "", err
	}
	log, err := c.CombinedOutput()
	switch _, mounted := connection(args[len(args)-1]); {
	case ctx.Err() != nil:
		return string(log), fmt.Errorf("glancefs mount was not refused in %v", patience)
	case err == nil:
		return string(log), errors.New("glancefs mount was refused with exit status 0")
	case mounted:
		return string(log), errors.New("glancefs mount was refused and left a mount behind")
	case bytes.Count(log, []byte("\n")) != 1:
		return string(log), fmt.Errorf("glancefs mount was refused with more or less than one line: %q", log)
	}
	return string(log), nil
}

// start runs the process, for the first time or once more with the same flags,
// and returns when it says that it is ready.
func (m *Mount) start() error {
	line := slices.Concat(m.as, []string{"glancefs", "mount"}, m.args, []string{m.Dir})
	cmd, err := command(context.Background(), m.env, line[0], line[1:]...)
	if err != nil {
		return err
	}
	m.Stderr = &stderr{ready: make(chan struct{})}
	cmd.Stderr = m.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	m.cmd, m.done = cmd, done
	select {
	case <-m.Stderr.ready:
		return nil
	case <-done:
		return fmt.Errorf("glancefs mount: %s\n%s", cmd.ProcessState, m.Stderr)
	case <-time.After(patience):
		return fmt.Errorf("glancefs mount: not ready after %v\n%s", patience, m.Stderr)
	}
}

// Again mounts once more after the process has ended: the same mountpoint, the
// same cache, the same flags.
func (m *Mount) Again(tb testing.TB) {
	tb.Helper()
	if err := m.start(); err != nil {
		tb.Fatal(err)
	}
}

// Stop sends SIGTERM, and fails the test unless the process ends with status 0
// and leaves no mount.
func (m *Mount) Stop(tb testing.TB) {
	tb.Helper()
	if err := m.stop(); err != nil {
		tb.Fatal(err)
	}
}

func (m *Mount) stop() error {
	m.cmd.Process.Signal(syscall.SIGTERM)
	return m.wait()
}

// wait waits until the process has ended by itself, which has to be with status
// 0 and without a mount left.
func (m *Mount) wait() error {
	select {
	case <-m.done:
	case <-time.After(patience):
		return fmt.Errorf("glancefs mount did not end in %v", patience)
	}
	if !m.cmd.ProcessState.Success() {
		return fmt.Errorf("glancefs mount: %s", m.cmd.ProcessState)
	}
	if _, mounted := connection(m.Dir); mounted {
		return errors.New("glancefs mount ended and left its mount behind")
	}
	return nil
}

// Kill9 kills the process and returns when it is gone. The mount stays, and
// gives ENOTCONN.
func (m *Mount) Kill9(tb testing.TB) {
	tb.Helper()
	syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
	select {
	case <-m.done:
	case <-time.After(patience):
		tb.Fatalf("glancefs mount survived SIGKILL for %v", patience)
	}
}

// Stats reads one counter, as a user would.
func (m *Mount) Stats(tb testing.TB, name string) float64 {
	tb.Helper()
	v, err := m.stats(name)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func (m *Mount) stats(name string) (float64, error) {
	out, err := try(nil, "cat", filepath.Join(m.Dir, ".glancefs/stats"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(out) {
		if f := strings.Fields(string(line)); len(f) == 2 && f[0] == name {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, fmt.Errorf("no %s in .glancefs/stats:\n%s", name, out)
}

// quiet waits until the process fetches nothing any more.
func (m *Mount) quiet() error {
	return eventually("the end of all streams", func() (bool, error) {
		n, err := try(nil, "jq", ".cache.fetching", filepath.Join(m.Dir, ".glancefs/status.json"))
		return string(n) == "0\n", errors.Join(err, fmt.Errorf("%s under way", bytes.TrimSpace(n)))
	})
}

// finish ends a test's mount by all means, and fails the test if anything but
// SIGTERM was needed or the process saw a bug of its own.
func (m *Mount) finish(tb testing.TB) {
	tb.Helper()
	if m.cmd == nil {
		return
	}
	select {
	case <-m.done:
	default:
		if err := m.stop(); err != nil {
			tb.Error(err)
		}
	}
	syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
	if minor, mounted := connection(m.Dir); mounted {
		os.WriteFile(filepath.Join(connections, minor, "abort"), []byte("1"), 0)
		syscall.Unmount(m.Dir, syscall.MNT_DETACH)
	}
	log := m.Stderr.String()
	if strings.Contains(log, "panic: ") || strings.Contains(log, "DATA RACE") {
		tb.Error("glancefs found a bug of its own")
	}
	if tb.Failed() {
		tb.Logf("stderr of glancefs mount %s:\n%s", m.Dir, log)
	}
}

// connection finds what is mounted on dir, without touching it: the number of
// its device is that of its FUSE connection.
func connection(dir string) (minor string, mounted bool) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", false
	}
	for line := range bytes.Lines(table) {
		if f := strings.Fields(string(line)); len(f) > 4 && f[4] == dir {
			_, minor, _ = strings.Cut(f[2], ":")
			return minor, true
		}
	}
	return "", false
}
