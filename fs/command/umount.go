package command

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"glancefs/fs/mounts"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name: "umount", Usage: "end a mount, also one whose glancefs has died", ArgsUsage: "MOUNTPOINT",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "lazy", Usage: "take it from its path although files there are in use"}},
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			if err != nil {
				return err
			}
			left, err := mounts.Unmount(dir, c.Bool("lazy"))
			if err != nil {
				return failure{err, exitSystem}
			}
			if len(left) > 0 {
				fmt.Fprintf(c.App.ErrWriter, "glancefs: unmounted from %s, but the mount is also at %s; it ends when nothing here shows it and no file of it is open\n",
					dir, strings.Join(left, ", "))
			}
			return nil
		},
	}
}
