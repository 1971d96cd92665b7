package command

import (
	"fmt"
	"log/slog"
	"math"
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
	all, err := cache.List(c.String("cache-dir"))
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
	// What is spoiled is told by the command itself.
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := cache.Open(cache.Config{Dir: c.String("cache-dir"), Made: true, Size: size, Log: log})
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
