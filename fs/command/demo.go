package command

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"glancefs/glanceapi/server"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "mount an image server of its own with sample images, and look around",
		Action: func(c *cli.Context) error {
			if err := demo(c.Context, c.App.Writer); err != nil {
				return failure{err, exitSystem}
			}
			return nil
		},
	}
}

// demo shows a tour, and stays until it is interrupted when on a terminal. The
// mount is a process of its own: one that reads its own mount can wait for
// itself.
func demo(ctx context.Context, out io.Writer) error {
	tmp, err := os.MkdirTemp("", "glancefs-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	url, sum, err := serveSamples(filepath.Join(tmp, "server"))
	if err != nil {
		return err
	}
	dir := filepath.Join(tmp, "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(out, "An image server at %s, mounted at %s:\n", url, dir)
	end, err := startMount(ctx, "--endpoint", url, "--cache-dir", filepath.Join(tmp, "cache"), dir)
	if err != nil {
		return err
	}
	defer end()
	for _, tour := range []string{"ls -l by-name images", "cat by-name/disk/meta.json",
		"cp by-name/readme/data incoming/copy && ls -l incoming by-name", "sha512sum by-name/disk/data"} {
		fmt.Fprintf(out, "\n$ cd %s; %s\n", dir, tour)
		cmd := exec.CommandContext(ctx, "sh", "-c", tour)
		var got bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, io.MultiWriter(out, &got), out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", tour, err)
		}
		if strings.HasPrefix(tour, "sha512sum") && !strings.HasPrefix(got.String(), sum) {
			return fmt.Errorf("the image read through the mount is not the one that was stored: sha512 should be %s", sum)
		}
	}
	fmt.Fprintln(out, "\nThat is the sha512 of what was stored.")
	if _, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS); err == nil {
		fmt.Fprintf(out, "Look around in %s; Ctrl-C ends it.\n", dir)
		<-ctx.Done()
		_ = end() // it was interrupted, as we were
		return nil
	}
	return end()
}

// serveSamples starts an image server over dir, with two images, and returns
// its URL and the sha512 of the image called disk.
func serveSamples(dir string) (url, sum string, err error) {
	s, err := server.New(dir)
	if err != nil {
		return "", "", err
	}
	disk := make([]byte, 32<<20)
	rand.NewChaCha8([32]byte{}).Read(disk)
	for name, data := range map[string][]byte{"disk": disk, "readme": []byte("Images are files here.\n")} {
		rec := server.Record{Name: &name, DiskFormat: "raw", ContainerFormat: "bare", Visibility: "public"}
		if _, err := s.Add(rec, bytes.NewReader(data)); err != nil {
			return "", "", err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	go http.Serve(l, s)
	return "http://" + l.Addr().String(), fmt.Sprintf("%x", sha512.Sum512(disk)), nil
}

// startMount runs this program's mount command and returns when the mount is
// ready, with what ends it.
func startMount(ctx context.Context, args ...string) (end func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"mount"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = sync.OnceValue(func() error {
		if err := cmd.Cancel(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready") {
			go io.Copy(io.Discard, stderr)
			return end, nil
		}
		err = errors.New(lines.Text())
	}
	return nil, errors.Join(err, end())
}
