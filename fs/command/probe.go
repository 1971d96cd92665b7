package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/sys/unix"

	"glancefs/fs/herald"
)

// A prober finds out whether a mount answers, all the way from the kernel and
// back. It has a process of its own ask: a process that waits for its own mount
// can neither be killed nor end, and the mount with it.
type prober struct {
	dir     string
	flights singleflight.Group
	asked   atomic.Bool // by the process that asks, or was the last to
}

// errUnasked is of a mount that could not be asked: the host has no process, memory or
// file to spare. It says nothing about the mount.
var errUnasked = errors.New("the mount cannot be asked")

// answers returns nil as soon as the mount has answered. There is one process
// that asks, however many wait for it and for how long.
func (p *prober) answers(ctx context.Context) error {
	done := p.flights.DoChan("", func() (any, error) { return nil, p.ask() })
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
	}
	if !p.asked.Load() {
		return fmt.Errorf("%w: %w", errUnasked, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// ask has a process ask, and returns what the mount has told it.
func (p *prober) ask() error {
	p.asked.Store(false)
	var stderr bytes.Buffer
	// What runs is this program, whatever is in its place by now.
	cmd := exec.Command("/proc/self/exe", probeName, p.dir)
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{}, asking{&p.asked}, &stderr
	err := cmd.Run()
	if err != nil && cmd.ProcessState.ExitCode() != exitMount {
		err = fmt.Errorf("%w: %w", errUnasked, err)
	} else if err != nil {
		err = errors.New(string(bytes.TrimSpace(stderr.Bytes())))
	}
	return err
}

// An asking hears from the process that it is about to ask.
type asking struct{ heard *atomic.Bool }

func (a asking) Write(p []byte) (int, error) {
	a.heard.Store(true)
	return len(p), nil
}

const probeName = "probe"

func probeCommand() *cli.Command {
	return &cli.Command{
		Name: probeName, Hidden: true, ArgsUsage: "MOUNTPOINT",
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(c.App.Writer, "asking", dir); err != nil {
				return failure{err, exitSystem}
			}
			// The kernel asks the file system for this each time.
			var st unix.Statfs_t
			if err := unix.Statfs(dir, &st); err != nil {
				return failure{fmt.Errorf("statfs %s: %w", dir, err), exitMount} // unlike a process that dies
			}
			return nil
		},
	}
}

// heraldCommand gives the kernel notices for a mount.
func heraldCommand() *cli.Command {
	return &cli.Command{
		Name: herald.Command, Hidden: true, ArgsUsage: "DEVICE [" + herald.Kept + "]",
		Action: func(c *cli.Context) error {
			// It ends with its input.
			signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
			nameProcess("glancefs-herald")
			if err := herald.Run(c.Args().First(), c.Args().Get(1) == herald.Kept); err != nil {
				return failure{err, exitSystem}
			}
			return nil
		},
	}
}
