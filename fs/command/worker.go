package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"glancefs/fs"
	"glancefs/fs/keep"
)

const (
	workerName = "worker"
	// heirFlag is how a worker is told that the mount is there, and served by
	// another or by nobody.
	heirFlag = "heir"
)

// keepMount mounts at dir as the flags of c say, by way of workers that may follow
// each other, until the mount ends.
func keepMount(c *cli.Context, dir string) error {
	log, err := newLogger(c)
	if err != nil {
		return err
	}
	s, err := newSettings(c, dir)
	if err != nil {
		return err
	}
	dir = s.dir
	nameProcess(keep.Comm)
	program, err := os.Executable()
	if err != nil {
		return failure{err, exitSystem}
	}
	flags := givenFlags(c)
	err = keep.Run(keep.Config{
		Dir: dir, Program: program, Log: log, Output: c.App.ErrWriter,
		Args: func(heir bool) []string {
			args := append([]string{workerName}, flags...)
			if heir {
				args = append(args, "--"+heirFlag)
			}
			return append(args, "--", dir)
		},
		Mount: keep.Options{
			Source: c.String("fsname"), AllowOther: c.Bool("allow-other"), ReadOnly: c.Bool("read-only"), MaxRead: fs.MaxRead(),
		},
		Ready: func(line string) error {
			if c.Bool(detachFlag) {
				if err := detach(); err != nil {
					return err
				}
			}
			sayReady(c, line)
			return nil
		},
	})
	if status := keep.Ended(0); errors.As(err, &status) {
		return failure{errTold, int(status)}
	}
	if err != nil {
		return failure{err, exitSystem}
	}
	return nil
}

// nameProcess sets what ps and top show, with and without threads, instead of the
// path that the process was started by. A thread has the name of the one that made it,
// also one that is being made meanwhile, which is found the next time.
func nameProcess(name string) {
	for again := true; again; {
		again = false
		names, _ := filepath.Glob("/proc/self/task/*/comm")
		for _, path := range names {
			if has, err := os.ReadFile(path); err == nil && string(has) != name+"\n" {
				again = os.WriteFile(path, []byte(name), 0) == nil || again // or another name, no more
			}
		}
	}
}

// givenFlags are the flags of c that were given, in whichever way, but for some.
func givenFlags(c *cli.Context, but ...string) (args []string) {
	for _, name := range c.LocalFlagNames() {
		if !slices.Contains(but, name) {
			args = append(args, fmt.Sprintf("--%s=%v", name, c.Value(name)))
		}
	}
	return args
}

// workerCommand serves a mount that another process keeps.
func workerCommand() *cli.Command {
	return &cli.Command{
		Name: workerName, Hidden: true, ArgsUsage: "MOUNTPOINT", Usage: "serve a mount that \"glancefs mount\" keeps",
		Flags: append(mountFlags(), &cli.BoolFlag{Name: heirFlag}),
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			if err != nil {
				return err
			}
			post, err := keep.NewPost()
			if err != nil {
				return failure{err, exitUsage}
			}
			nameProcess("glancefs-worker")
			return serveMount(c, dir, &turn{post: post, heir: c.Bool(heirFlag)})
		},
	}
}

// A turn is one worker's time to serve a mount. The nil turn is that of a process
// which nobody keeps the mount for.
type turn struct {
	post    *keep.Post
	heir    bool
	version string   // of glancefs
	kept    *fs.Kept // nil before it has come
	history keep.History
}

func (t *turn) isHeir() bool { return t != nil && t.heir }

// what is what the mount is kept with, nil if it is not.
func (t *turn) what() *fs.Kept {
	if t == nil {
		return nil
	}
	return t.kept
}

// await returns when the turn has come. Before, nothing may be used that only one
// process can have.
func (t *turn) await() error {
	if t == nil {
		return nil
	}
	device, ledger, history, err := t.post.Await()
	if err != nil {
		return failure{err, exitSystem}
	}
	t.history = history
	if device != nil {
		t.kept = &fs.Kept{Device: device, Ledger: ledger}
	}
	return nil
}

// ready says that the mount can be used.
func (t *turn) ready(c *cli.Context, m *mounted) error {
	line := fmt.Sprintf("%s%s shows %s (%s)", readyLine, m.dir, m.service.Endpoint(), m.service.Version())
	if c.Bool(detachFlag) {
		if err := detach(); err != nil {
			return err
		}
	}
	if t != nil {
		return t.post.Send(keep.Message{State: keep.Serving, Line: line, Lasting: m.Lasting()})
	}
	m.log.Info("open files will not outlive this process; for root they do, with Linux 6.9")
	sayReady(c, line)
	return nil
}

// sayReady says that the mount can be used, which it can whether anybody reads that
// or not: whoever started it may have gone, or the disk of its log be full.
func sayReady(c *cli.Context, line string) { _, _ = fmt.Fprintln(c.App.ErrWriter, line) }

// listen sees to what the keeper says, until it has ended or ctx has.
func (t *turn) listen(ctx context.Context, m *mounted) {
	if t == nil {
		return
	}
	go func() {
		for ctx.Err() == nil {
			said, _, err := t.post.Receive()
			if err != nil {
				return // and so will this process
			}
			switch said.State {
			case keep.Stop:
				m.GiveWay()
				m.store.Close()
				os.Exit(0)
			case keep.Told:
				m.SetUpkeep(t.upkeep(*said.History))
			}
		}
	}()
}

// begins is what a mount tells of itself at first.
func (t *turn) begins(version string) fs.Upkeep {
	if t == nil {
		return fs.Upkeep{Process: os.Getpid(), Version: version}
	}
	t.version = version
	return t.upkeep(t.history)
}

// upkeep is what a mount tells of its history.
func (t *turn) upkeep(h keep.History) fs.Upkeep {
	u := fs.Upkeep{Version: t.version, Process: os.Getpid(), Restarts: h.Restarts, Upgrades: h.Upgrades}
	if t.kept != nil {
		u.Keeper = os.Getppid()
	}
	if h.Last != "" {
		u.Last = &h.Last
	}
	if h.Refused != "" {
		u.Refused = &h.Refused
	}
	return u
}
