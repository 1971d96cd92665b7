package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It is far more than anything here takes on a slow
// machine, and reaching it is always a failure.
const patience = 90 * time.Second

// buildGlancefs builds the binary once a run and returns its directory.
var buildGlancefs = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(scratch(), "bin")
	args := []string{"build", "-o", bin + "/"}
	if os.Getenv("GLANCEFS_RACE") == "1" {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "glancefs")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building glancefs: %w\n%s", err, out)
	}
	// go test keeps a result until something changes that the tests have looked
	// at; what the binary was built from is looked at here.
	return bin, filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if d.Name() == ".git" {
			return filepath.SkipDir
		}
		return nil
	})
})

// environ is what every program here runs in, so that no cloud, proxy or
// language of whoever runs the tests reaches them. Later entries win.
func environ(bin string, more ...string) []string {
	return append([]string{
		// Debian's programs want Debian's python, whatever the caller's PATH has first.
		"PATH=" + bin + ":/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + scratch(),
		"LC_ALL=C.UTF-8",
	}, more...)
}

// command is a program that is killed, with the children it has, when ctx ends.
func command(ctx context.Context, env []string, name string, args ...string) (*exec.Cmd, error) {
	bin, err := buildGlancefs()
	if err != nil {
		return nil, err
	}
	dir := "/usr/bin"
	switch name {
	case "glancefs", originProgram, readerProgram:
		dir = bin
	}
	name = filepath.Join(dir, name)
	c := exec.CommandContext(ctx, name, args...)
	c.Env = environ(bin, env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	return c, nil
}

// try runs a program to its end and returns what it printed. Its error holds
// what it printed on stderr.
func try(env []string, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := command(ctx, env, name, args...)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no end after %v", patience)
		}
		return stdout.Bytes(), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// run is try for a program that has to succeed.
func run(tb testing.TB, name string, args ...string) []byte {
	tb.Helper()
	require(tb)
	out, err := try(nil, name, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// piped starts a program whose output is read while it runs, and which ends with the
// test at the latest.
func piped(tb testing.TB, name string, args ...string) (*exec.Cmd, io.Reader) {
	tb.Helper()
	require(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	tb.Cleanup(cancel)
	c, err := command(ctx, nil, name, args...)
	if err != nil {
		tb.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return c, out
}

// talking starts a program that is written to and read from while it runs, and which
// ends with the test at the latest.
func talking(tb testing.TB, name string, args ...string) (*exec.Cmd, io.WriteCloser, io.Reader) {
	tb.Helper()
	c, err := command(tb.Context(), nil, name, args...)
	if err != nil {
		tb.Fatal(err)
	}
	in, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return c, in, out
}

// eventually asks again until ok says yes, and gives up with what after patience.
func eventually(what string, ok func() (bool, error)) error { return within(patience, what, ok) }

// within is eventually with another limit.
func within(limit time.Duration, what string, ok func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	for {
		done, err := ok()
		if done {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for %s: not after %v (%w)", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
