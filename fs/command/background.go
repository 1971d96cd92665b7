package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

const (
	backgroundFlag = "background"
	// detachFlag is how a mount command in the background is told to be one.
	detachFlag = "detach"
	// readyLine begins the line by which a mount command says that its mount can
	// be used.
	readyLine = "glancefs: ready: "
)

// background starts this mount command once more, as a process of its own, and
// returns when its mount can be used. That process stays in the group of this one
// until then, because an automounter that waits for the mount lets nobody else
// near the directory.
func background(c *cli.Context, dir string) error {
	args := append([]string{"--" + detachFlag}, givenFlags(c, backgroundFlag)...)
	cmd, err := mountProcess(c.Context, append(args, "--", dir)...)
	if err != nil {
		return failure{err, exitSystem}
	}
	_, err = startMount(cmd)
	return err
}

// detach leaves the caller's session and directory: nobody waits for this
// process from now on.
func detach() error {
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("leaving the caller's session: %w", err)
	}
	return os.Chdir("/")
}

// mountProcess is this program's mount command, to be started. It ends with ctx.
func mountProcess(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"mount"}, args...)...)
	// A program that is called mount.TYPE takes other arguments.
	cmd.Args[0] = filepath.Join(filepath.Dir(self), "glancefs")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd, nil
}

// startMount starts a mount command and returns what it goes on to say when its
// mount can be used, or why it has ended.
func startMount(cmd *exec.Cmd) (io.Reader, error) {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, failure{err, exitSystem}
	}
	if err := cmd.Start(); err != nil {
		return nil, failure{err, exitSystem}
	}
	lines, last, why := bufio.NewScanner(stderr), "", ""
	for lines.Scan() {
		last = lines.Text()
		switch {
		case strings.HasPrefix(last, readyLine):
			return stderr, nil
		case strings.Contains(last, "fusermount3: "): // which says by itself why it does not mount
			why = ": " + last
		}
	}
	cmd.Wait() // how it ended is in ProcessState
	if status := cmd.ProcessState.ExitCode(); status > 0 && last != "" {
		return nil, failure{errors.New(strings.TrimPrefix(last, "glancefs: ") + why), status}
	}
	return nil, failure{fmt.Errorf("the mount has ended before it could be used: %s", cmd.ProcessState), exitMount}
}
