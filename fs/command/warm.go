package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	// warmAtOnce is how many images are fetched at a time: more would not make
	// the link faster, but each of them later.
	warmAtOnce = 3
	// warmPiece is how much is read at a time.
	warmPiece = 1 << 20
	// warmEvery is how often progress is told where there is no terminal.
	warmEvery = 10 * time.Second
)

func warmCommand() *cli.Command {
	return &cli.Command{
		Name: "warm", Usage: "fetch whole images into the cache and have them verified", ArgsUsage: "MOUNTPOINT IMAGE...",
		Description: "IMAGE is an id or a name as in by-name/. What is cached already is not fetched\n" +
			"again, so an interrupted warm-up goes on where it was. The status is 0 only when\n" +
			"every image is complete and, where it has a checksum, verified.",
		Action: func(c *cli.Context) error {
			if c.NArg() < 2 {
				return errors.New("warm takes a MOUNTPOINT and at least one IMAGE")
			}
			w := &warmer{mnt: c.Args().First(), out: c.App.Writer}
			if err := answering(c.Context, w.mnt); err != nil {
				return failure{err, exitSystem}
			}
			if _, _, err := statusOf(w.mnt); err != nil {
				return failure{err, exitSystem}
			}
			if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err == nil {
				w.bars = mpb.NewWithContext(c.Context, mpb.WithOutput(c.App.Writer))
			}
			if err := w.all(c.Context, c.Args().Tail()); err != nil {
				return failure{err, exitSystem}
			}
			return nil
		},
	}
}

// A warmer reads images through a mount, past the kernel's page cache.
type warmer struct {
	mnt  string
	out  io.Writer
	bars *mpb.Progress // nil where there is no terminal
}

func (w *warmer) all(ctx context.Context, images []string) error {
	var g errgroup.Group
	g.SetLimit(warmAtOnce)
	errs := make([]error, len(images))
	verdicts := make([]string, len(images))
	for i, image := range images {
		g.Go(func() error {
			verdict, err := w.image(ctx, image)
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", image, err)
				return nil
			}
			verdicts[i] = fmt.Sprintf("%s: %s\n", image, verdict)
			if w.bars == nil {
				fmt.Fprint(w.out, verdicts[i])
			}
			return nil
		})
	}
	_ = g.Wait()
	if w.bars != nil {
		w.bars.Wait()
		fmt.Fprint(w.out, strings.Join(verdicts, ""))
	}
	return errors.Join(errs...)
}

// image fetches one image, and says how far it can be trusted.
func (w *warmer) image(ctx context.Context, image string) (verdict string, err error) {
	path := filepath.Join(w.mnt, "images", image, "data")
	if _, err := os.Stat(path); err != nil {
		path = filepath.Join(w.mnt, "by-name", image, "data")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if v, err := w.verdict(ctx, path, info.Size(), false); err == nil {
		return v, nil
	}
	// What was found before does not count: the image may have been mended since, or
	// the disk that it could not be compared on.
	_ = unix.Removexattr(path, "user.glancefs.verified")
	for again := false; ; again = true {
		if err := w.read(ctx, f, image, path, info.Size()); err != nil {
			return "", err
		}
		verdict, err = w.verdict(ctx, path, info.Size(), true)
		if !errors.Is(err, errDropped) || again {
			return verdict, err
		}
	}
}

// errMismatch and errDropped end the verification of an image: for good, or to begin
// anew, since the fault may have been on the way.
var (
	errMismatch = errors.New("it does not match its checksum")
	errDropped  = errors.New("it did not match its checksum, and what was fetched again does not stay in the cache")
)

// read fetches what is missing of the image that f is the data of.
func (w *warmer) read(ctx context.Context, f *os.File, image, path string, size int64) error {
	tell, done := w.progress(image, size)
	defer done()
	// Reading past the page cache wants a buffer at a page boundary.
	buf, err := unix.Mmap(-1, 0, warmPiece, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer unix.Munmap(buf)
	for off := int64(0); off < size; {
		n, err := f.ReadAt(buf, off)
		if n == 0 {
			if attr(path, "user.glancefs.verified") == "no" {
				return errMismatch
			}
			return fmt.Errorf("at %d of %d bytes: %w", off, size, err)
		}
		off += int64(n)
		tell(n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// verdict says how far the image at path can be trusted, and fails if it is not
// complete, does not match its checksum or cannot be compared with it. It waits, if
// asked to, for a check that is under way.
func (w *warmer) verdict(ctx context.Context, path string, size int64, wait bool) (string, error) {
	for {
		cached := attr(path, "user.glancefs.cached")
		held, err := strconv.ParseInt(cached, 10, 64)
		why := attr(path, "user.glancefs.unverified")
		switch verified := attr(path, "user.glancefs.verified"); {
		case verified == "yes":
			return "complete and verified", nil
		case verified == "no":
			return "", errMismatch
		case (err != nil || held < size) && why != "":
			return "", errDropped
		case err != nil || held < size:
			return "", fmt.Errorf("only %d of %d bytes are in the cache; is it large enough?", held, size)
		case size == 0:
			if status := attr(path, "user.glance.status"); status != "active" {
				return "", fmt.Errorf("the image has no data yet: it is %s", status)
			}
			return "empty", nil
		case attr(path, "user.glance.hash_value") == "" && attr(path, "user.glance.checksum") == "":
			return "complete; there is no checksum to verify it with", nil
		case why != "" && attr(path, "user.glancefs.cached") == cached: // else it has been dropped in between
			return "", fmt.Errorf("complete, but not verified: %s", why)
		case !wait:
			return "", errors.New("not verified yet")
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// attr returns an extended attribute, or "".
func attr(path, name string) string {
	b := make([]byte, 1024)
	n, err := unix.Getxattr(path, name, b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// progress returns what to call for every n bytes read, and at the end.
func (w *warmer) progress(image string, size int64) (tell func(n int), done func()) {
	if w.bars != nil {
		bar := w.bars.AddBar(size,
			mpb.PrependDecorators(decor.Name(image+" "), decor.CountersKibiByte("% .1f / % .1f")),
			mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f "), decor.AverageETA(decor.ET_STYLE_GO)))
		return bar.IncrBy, func() { bar.Abort(false) }
	}
	var read int64
	begun, told := time.Now(), time.Now()
	return func(n int) {
		read += int64(n)
		if now := time.Now(); now.Sub(told) >= warmEvery {
			told = now
			rate := float64(read) / now.Sub(begun).Seconds()
			left := time.Duration(float64(size-read) / rate * float64(time.Second))
			fmt.Fprintf(w.out, "%s: %d%%, %s/s, %s left\n", image, 100*read/size, bytesOf(int64(rate)), left.Round(time.Second))
		}
	}, func() {}
}
