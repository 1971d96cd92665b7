package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"glancefs/fs"
	"glancefs/fs/keep"
)

const (
	// upgradeLimit is how long an upgrade may take: most of it is for the new
	// process to reach the image service.
	upgradeLimit = 2 * time.Minute
	upgradeEvery = 50 * time.Millisecond
)

func upgradeCommand() *cli.Command {
	return &cli.Command{
		Name: "upgrade", Usage: "have the glancefs that is installed now go on with a mount, whose open files stay open", ArgsUsage: "MOUNTPOINT",
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			if err != nil {
				return err
			}
			s, err := upgrade(c.Context, dir)
			if err != nil {
				return failure{err, exitSystem}
			}
			_, err = fmt.Fprintf(c.App.Writer, "glancefs %s, process %d, goes on with %s\n", s.Upkeep.Version, s.Upkeep.Process, dir)
			return err
		},
	}
}

// upgrade has another process go on with the mount at dir, and returns what that
// tells.
func upgrade(ctx context.Context, dir string) (s fs.Status, err error) {
	if err := answering(ctx, dir); err != nil {
		return s, err
	}
	_, before, err := statusOf(dir)
	if err != nil {
		return s, err
	}
	keeper := before.Upkeep.Keeper
	if keeper == 0 {
		return s, fmt.Errorf("no other process can go on with %s; unmount it, and mount it again", dir)
	}
	// Of another namespace, it may be the number of something else here.
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", keeper))
	if err != nil || strings.TrimSpace(string(comm)) != keep.Comm {
		return s, fmt.Errorf("process %d is not the %s of %s", keeper, keep.Comm, dir)
	}
	if err := syscall.Kill(keeper, syscall.SIGUSR2); err != nil {
		return s, fmt.Errorf("process %d: %w", keeper, err)
	}
	for end := time.Now().Add(upgradeLimit); time.Now().Before(end); time.Sleep(upgradeEvery) {
		_, s, err = statusOf(dir)
		switch {
		case err != nil:
			return s, err
		case s.Upkeep.Upgrades == before.Upkeep.Upgrades:
		case s.Upkeep.Refused != nil:
			return s, errors.New(*s.Upkeep.Refused)
		case s.Upkeep.Process != before.Upkeep.Process:
			return s, nil
		}
	}
	return s, fmt.Errorf("no other process has gone on with %s in %v", dir, upgradeLimit)
}
