package command

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"glancefs/cache"
)

func cacheCommand() *cli.Command {
	dir := cacheDirFlag("`DIR` of the cache")
	size := &cli.StringFlag{Name: "to", Value: "0", Usage: "`SIZE` to prune to: bytes, KiB to TiB or a % of the file system"}
	return &cli.Command{
		Name: "cache", Usage: "look after a cache directory",
		Subcommands: []*cli.Command{
			{Name: "ls", Usage: "list the images in it, the longest unused first", Flags: []cli.Flag{dir}, Action: cacheList},
			{Name: "verify", Usage: "check every byte in it, and drop what is spoiled; not while mounted", Flags: []cli.Flag{dir}, Action: cacheVerify},
			{Name: "prune", Usage: "make it smaller, dropping the longest unused first; not while mounted", Flags: []cli.Flag{dir, size}, Action: cachePrune},
		},
	}
}

func cacheDirFlag(usage string) cli.Flag {
	return &cli.StringFlag{
		Name: "cache-dir", Value: defaultCacheDir(), DefaultText: "/var/cache/glancefs, for users ~/.cache/glancefs",
		Usage: usage, EnvVars: []string{"GLANCEFS_CACHE_DIR"},
	}
}

func defaultCacheDir() string {
	if os.Getuid() == 0 {
		return "/var/cache/glancefs"
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "glancefs")
}

// cacheDir is the directory of the cache. No name at all is that of the current
// directory to the system, and nobody means that.
func cacheDir(c *cli.Context) (string, error) {
	dir := c.String("cache-dir")
	if dir == "" {
		return "", errors.New("--cache-dir: no directory is named, and without HOME there is no default")
	}
	return dir, nil
}

// verified names the states of a check.
func verified(v cache.Verification, digest cache.Digest) string {
	switch {
	case v == cache.Verified:
		return "verified"
	case v == cache.Mismatched:
		return "DOES NOT MATCH its checksum"
	case digest.Algo == "":
		return "without a checksum"
	}
	return "not verified"
}

func cacheList(c *cli.Context) error {
	dir, err := cacheDir(c)
	if err != nil {
		return err
	}
	all, err := cache.List(dir)
	if err != nil {
		return failure{err, exitSystem}
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "HELD\tSIZE\tLAST USE\t  IMAGE")
	for _, e := range all {
		fmt.Fprintf(w, "%d\t%d\t%s\t  %s\n", e.Held, e.Size, e.Used.Format(time.DateTime), e.Key)
	}
	return w.Flush()
}

// openCache takes the cache directory for one command.
func openCache(c *cli.Context, size int64) (*cache.Store, error) {
	dir, err := cacheDir(c)
	if err != nil {
		return nil, err
	}
	// What is spoiled is told by the command itself.
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := cache.Open(cache.Config{Dir: dir, Made: true, Size: size, Log: log})
	if err != nil {
		return nil, failure{err, exitSystem}
	}
	return s, nil
}

func cacheVerify(c *cli.Context) error {
	s, err := openCache(c, math.MaxInt64)
	if err != nil {
		return err
	}
	defer s.Close()
	bad := 0
	err = s.Scrub(c.Context, func(r cache.Scrub) {
		fmt.Fprintf(c.App.Writer, "%s: %d of %d bytes held, %s", r.Key, r.Held, r.Size, verified(r.State, r.Digest))
		if r.Spoiled > 0 {
			fmt.Fprintf(c.App.Writer, "; %d bytes were spoiled, and dropped", r.Spoiled)
		}
		fmt.Fprintln(c.App.Writer)
		if r.Spoiled > 0 || r.State == cache.Mismatched {
			bad++
		}
	})
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d images were spoiled; what was dropped will be fetched again", bad)
	}
	if err != nil {
		return failure{err, exitSystem}
	}
	return nil
}

func cachePrune(c *cli.Context) error {
	size := int64(0)
	if to := c.String("to"); to != "0" {
		var err error
		if size, err = cache.ParseSize(to, c.String("cache-dir")); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
	}
	s, err := openCache(c, size)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = fmt.Fprintf(c.App.Writer, "%d bytes freed\n", s.Prune())
	return err
}
