package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// A soakReader is one process of soak_reader.py.
type soakReader struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer  // to be looked at when done
	done           chan struct{} // closed when it has ended and been waited for
	killed         bool
}

// failedCall is the exit status of a reader that met an error.
const failedCall = 3

// tend looks at how readers ended, and starts others for them.
func (s *soak) tend() {
	s.t.Helper()
	for i, r := range s.readers {
		if r != nil && r.gone(0) {
			s.bury(i)
		}
		if s.readers[i] == nil {
			s.readers[i] = s.startReader()
		}
	}
}

func (s *soak) startReader() *soakReader {
	s.t.Helper()
	s.tally.started++
	args := []string{"soak_reader.py", fmt.Sprint(s.rng.Uint64()), s.mount.Dir}
	for _, i := range s.images {
		args = append(args, i.source+"="+i.id)
	}
	c, err := command(context.Background(), nil, "python3", args...)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &soakReader{cmd: c, done: make(chan struct{})}
	c.Stdout, c.Stderr = &r.stdout, &r.stderr
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		c.Wait()
		close(r.done)
	}()
	return r
}

func (r *soakReader) kill() {
	r.killed = true
	syscall.Kill(r.cmd.Process.Pid, syscall.SIGKILL)
}

// gone waits for the reader's end.
func (r *soakReader) gone(limit time.Duration) bool {
	select {
	case <-r.done:
		return true
	default:
	}
	select {
	case <-r.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// state is where in the kernel the reader is.
func (r *soakReader) state() string {
	dir := fmt.Sprintf("/proc/%d/", r.cmd.Process.Pid)
	status, _ := os.ReadFile(dir + "status")
	stack, _ := os.ReadFile(dir + "stack")
	return fmt.Sprintf("%s:\n%s", regexp.MustCompile(`State:.*`).Find(status), stack)
}

// bury takes a reader that has ended out of its place, counts what it compared,
// and ends the test, for what glancefs has said until now, if it ended as it
// must not.
func (s *soak) bury(i int) {
	s.t.Helper()
	r := s.readers[i]
	s.readers[i] = nil
	var last string
	for line := range strings.Lines(r.stdout.String()) {
		var n int64
		if fields := strings.Fields(line); len(fields) == 1 && strings.HasSuffix(line, "\n") {
			fmt.Sscan(fields[0], &n)
			s.tally.verified += n
		}
		last = line
	}
	switch status := r.cmd.ProcessState; {
	case status.ExitCode() == failedCall:
		if err := s.judge(last); err != nil {
			s.t.Fatalf("a reader: %v", err)
		}
		s.tally.refused++
	case !r.killed || r.stderr.Len() > 0:
		s.t.Fatalf("a reader: %s: %s", status, &r.stderr)
	}
}

// judge returns the error of a reader's last line unless it might occur.
func (s *soak) judge(line string) error {
	var errno syscall.Errno
	var began, ended float64
	if _, err := fmt.Sscan(line, &errno, &began, &ended); err != nil {
		return fmt.Errorf("last line %q: %w", line, err)
	}
	from, to := unixTime(began), unixTime(ended)
	if s.mayFail(errno, from, to) {
		return nil
	}
	_, doing, _ := strings.Cut(line, strings.Fields(line)[2])
	return fmt.Errorf("%s: %w after %s, and the service was there", strings.TrimSpace(doing), errno, to.Sub(from).Round(time.Millisecond))
}

func unixTime(seconds float64) time.Time {
	return time.UnixMilli(int64(seconds * 1000))
}

// checkRest looks for what is left when nobody uses the mount any more: memory,
// descriptors, goroutines, processes. The last streams of images nobody reads
// end after a grace, of a minute where they cannot seek, which patient waits for.
func (s *soak) checkRest(patient bool) {
	t, m := s.t, s.mount
	t.Helper()
	waiting := `glancefs/cache\.\(\*(Blob|waiter)\)`
	if patient {
		waiting = `glancefs/(cache\.\(\*(Blob|run|waiter)\)|glanceapi\.)`
		if err := m.quiet(); err != nil {
			t.Error(err)
		}
	}
	// Requests in flight may take 128 MiB (see fs.New); the rest is small.
	if kib := peakRSS(t, m); os.Getenv("GLANCEFS_RACE") != "1" && kib > 256<<10 {
		t.Errorf("glancefs took %d KiB", kib)
	}
	s.checkDescriptors()
	s.checkGoroutines(regexp.MustCompile(waiting))
	if err := m.wait(); err == nil {
		t.Error("glancefs ended well on SIGQUIT")
	}
	run(t, "glancefs", "umount", m.Dir)
	if left, err := try(nil, "pgrep", "-af", m.Dir); err == nil {
		t.Errorf("processes are left:\n%s", left)
	}
}

// checkDescriptors bounds what the process has open: two files for each image, a
// few of its own, and idle connections, of which it keeps 64.
func (s *soak) checkDescriptors() {
	t := s.t
	t.Helper()
	pid, err := s.mount.worker()
	if err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sockets, data, others []string
	for _, e := range entries {
		switch name, _ := os.Readlink(filepath.Join(dir, e.Name())); {
		case strings.HasPrefix(name, "socket:"):
			sockets = append(sockets, name)
		case strings.HasPrefix(name, "/memfd:"):
			others = append(others, name)
		case strings.HasSuffix(name, "(deleted)"):
			t.Errorf("glancefs has %s open", name)
		case filepath.Dir(filepath.Dir(name)) == filepath.Join(filepath.Dir(s.mount.Dir), "cache"):
			data = append(data, name)
		default:
			others = append(others, name)
		}
	}
	if len(sockets) > 70 || len(data) > 2*(len(s.images)+s.uploader.done) || len(others) > 20 {
		t.Errorf("glancefs has open: %d sockets, the files %q, and %q", len(sockets), data, others)
	}
}

// checkGoroutines ends the worker with SIGQUIT, on which it tells what its
// goroutines do: none may be waiting for image data. Then it ends the mount.
func (s *soak) checkGoroutines(waiting *regexp.Regexp) {
	m := s.mount
	m.cmd.Process.Signal(syscall.SIGQUIT)
	m.says(s.t, "a worker has died")
	m.Kill9(s.t)
	_, dump, ok := strings.Cut(m.Stderr.String(), "SIGQUIT")
	if !ok {
		s.t.Error("glancefs told nothing on SIGQUIT")
	}
	for g := range strings.SplitSeq(dump, "\n\n") {
		if waiting.MatchString(g) {
			s.t.Errorf("a goroutine is left:\n%s", g)
		}
	}
}
