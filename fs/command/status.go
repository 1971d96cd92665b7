package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"glancefs/fs"
	"glancefs/fs/keep"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "tell how a mount is doing", ArgsUsage: "MOUNTPOINT",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "as JSON, for programs"}},
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			if err != nil {
				return err
			}
			if err := answering(c.Context, dir); err != nil {
				return failure{err, exitSystem}
			}
			b, s, err := statusOf(dir)
			if err != nil {
				return failure{err, exitSystem}
			}
			if c.Bool("json") {
				_, err := c.App.Writer.Write(b)
				return err
			}
			return tell(c, s)
		},
	}
}

// answerLimit is how long a mount may take to answer: longer than to change its worker,
// unless something is wrong.
const answerLimit = 10 * time.Second

// answering fails if the mount at dir does not answer, with what its keeper knows of
// that: who reads a file of it would have to wait for as long as that goes on.
func answering(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	p := &prober{dir: dir}
	err := p.answers(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errUnasked) {
		return nil // or else reading it tells why
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if word, ok := keep.WordOf(dir); ok {
		return fmt.Errorf("the glancefs at %s does not answer: %s", dir, word)
	}
	return fmt.Errorf("the glancefs at %s does not answer in %v", dir, answerLimit)
}

// statusTries is how often the process behind a mount may end while its status is
// read.
const statusTries = 3

// statusOf asks a mount for its status, and returns that as it is written, too. Half
// of what one process says is not completed by the next, which answers ESTALE.
func statusOf(dir string) (b []byte, s fs.Status, err error) {
	for range statusTries {
		b, err = os.ReadFile(filepath.Join(dir, ".glancefs/status.json"))
		if !errors.Is(err, syscall.ESTALE) {
			break
		}
	}
	if err != nil {
		return nil, s, fmt.Errorf("no glancefs answers at %s: %w", dir, err)
	}
	return b, s, json.Unmarshal(b, &s)
}

// tell prints a status for people.
func tell(c *cli.Context, s fs.Status) error {
	w := c.App.Writer
	fmt.Fprintf(w, "service   %s (%s)\n", s.Endpoint, s.APIVersion)
	if !s.Answers {
		fmt.Fprintln(w, "          does not answer; what is known is served")
	}
	fmt.Fprintf(w, "process   %d of glancefs %s", s.Upkeep.Process, s.Upkeep.Version)
	switch {
	case s.Upkeep.Keeper == 0:
		fmt.Fprintln(w, "; open files end with it")
	case s.Upkeep.Last == nil:
		fmt.Fprintf(w, ", kept by %d\n", s.Upkeep.Keeper)
	default:
		fmt.Fprintf(w, ", kept by %d; the %d before it: the last one %s\n", s.Upkeep.Keeper, s.Upkeep.Restarts, *s.Upkeep.Last)
	}
	if s.Upkeep.Refused != nil {
		fmt.Fprintf(w, "          the last upgrade came to nothing: %s\n", *s.Upkeep.Refused)
	}
	fmt.Fprintf(w, "cache     %s: %s of %s in %d images, %d being fetched\n", s.Cache.Dir, bytesOf(s.Cache.Used), bytesOf(s.Cache.Size), s.Cache.Images, s.Cache.Runs)
	if s.Cache.Corrupt > 0 {
		fmt.Fprintf(w, "disk      %d blocks came back other than they were written, and were fetched again\n", s.Cache.Corrupt)
	}
	for _, key := range s.Cache.Mismatched {
		fmt.Fprintf(w, "MISMATCH  the service sends other bytes than its checksum says: %s\n", key)
	}
	for _, u := range s.Uploads {
		switch {
		case u.Error != nil:
			fmt.Fprintf(w, "draft     %s: %s; %s\n", printable(u.Name), bytesOf(u.Size), printable(*u.Error))
		case u.State == "draft":
			fmt.Fprintf(w, "draft     %s: %s\n", printable(u.Name), bytesOf(u.Size))
		default:
			fmt.Fprintf(w, "upload    %s: %s, %s of %s sent\n", printable(u.Name), u.State, bytesOf(u.Sent), bytesOf(u.Size))
		}
	}
	if s.LastError != nil {
		fmt.Fprintf(w, "last error  %s: %s\n", printable(s.LastError.Doing), printable(s.LastError.Reason))
	}
	return nil
}

// bytesOf writes a number of bytes with a unit of 1024.
func bytesOf(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if v >= 100 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

// printable quotes what has characters that do more than show: anybody may have
// thought of it.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
