package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A tool makes an image of the origin readable, from nothing each time: with an
// empty cache, on a mount of its own.
type tool struct {
	name   string
	open   func(b *testing.B, o *origin, id string) *opened
	within func(b *testing.B, first *opened) *opened // instead: of what the first tool has opened
}

// opened is an image that a tool has made readable. If the tool is a program
// that reads a URL, that is its target, and there is nothing to close.
type opened struct {
	target string
	url    bool
	group  int    // the process group of who serves it, 0 for the kernel or this process
	rest   func() // waits until all is done that the tool does by itself after a whole image was read; may be nil
	close  func()
}

// The tools that are compared. What an origin's web server can do for rclone
// and nbdkit, theirs can, too; both are used as their manuals show it.
func ours() tool { return tool{name: "glancefs", open: openGlancefs} }
func curl() tool { return tool{name: "curl", open: openURL} }
func keepAlive() tool {
	return tool{name: "GET", open: openURL}
}

func rclone(mode string) tool {
	return tool{name: "rclone " + mode, open: func(b *testing.B, o *origin, id string) *opened {
		dir, mnt := peerDirs(b)
		return openPeer(b, dir, filepath.Join(mnt, "disk"), "rclone", "mount", ":http:", mnt, "--config", "",
			"--http-url", o.URL+"/plain/"+id+"/", "--cache-dir", filepath.Join(dir, "cache"), "--vfs-cache-mode", mode)
	}}
}

func nbdkit() tool {
	return tool{name: "nbdkit", open: func(b *testing.B, o *origin, id string) *opened {
		dir, mnt := peerDirs(b)
		return openPeer(b, dir, filepath.Join(mnt, "nbd"), "nbdfuse", "-r", mnt,
			"[", "nbdkit", "--exit-with-parent", "-r", "curl", o.URL+"/plain/"+id+"/disk", "]")
	}}
}

func openURL(_ *testing.B, o *origin, id string) *opened {
	return &opened{target: o.file(id), url: true, close: func() {}}
}

func openGlancefs(b *testing.B, o *origin, id string) *opened {
	m := mount(b, "--endpoint", o.URL, "--cache-size", "8GiB")
	data := filepath.Join(m.Dir, "images", id, "data")
	run(b, "stat", data) // a lookup is no part of reading
	return &opened{
		target: data,
		group:  m.cmd.Process.Pid,
		rest:   func() { verified(b, data) },
		close: func() {
			m.Stop(b)
			os.RemoveAll(filepath.Dir(m.Dir)) // with its cache
		},
	}
}

// peerDirs makes a directory for all that a peer keeps, and a mountpoint in it.
func peerDirs(b *testing.B) (dir, mnt string) {
	dir, err := os.MkdirTemp(scratch(), "peer")
	if err != nil {
		b.Fatal(err)
	}
	mnt = filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		b.Fatal(err)
	}
	return dir, mnt
}

// openPeer runs a program that serves a mount in the foreground, until file is
// there.
func openPeer(b *testing.B, dir, file, name string, args ...string) *opened {
	c, err := command(context.Background(), nil, name, args...)
	if err != nil {
		b.Fatal(err)
	}
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		b.Fatal(err, " (is sh integration/install.sh bench done?)")
	}
	ended := make(chan struct{})
	go func() {
		c.Wait()
		close(ended)
	}()
	mnt := filepath.Dir(file)
	stop := func() {
		syscall.Unmount(mnt, syscall.MNT_DETACH)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		os.RemoveAll(dir)
	}
	b.Cleanup(stop)
	err = eventually(file, func() (bool, error) {
		select {
		case <-ended:
			return true, nil
		default:
		}
		if _, mounted := connection(mnt); !mounted {
			return false, nil
		}
		_, err := try(nil, "stat", file)
		return err == nil, err
	})
	select {
	case <-ended:
		b.Fatalf("%s: %s\n%s", name, c.ProcessState, &said)
	default:
	}
	if err != nil {
		b.Fatal(err)
	}
	return &opened{target: file, group: c.Process.Pid, close: stop}
}

// cacheFile is the bare file in which glancefs has the image: the same one, because
// two files of the same bytes differ by a fifth in how fast they are read, by where
// in memory the kernel has put their pages.
func cacheFile() tool {
	return tool{name: "cache file", within: func(b *testing.B, ours *opened) *opened {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(ours.target), "../../../cache/blobs/*.data"))
		if err != nil || len(files) != 1 {
			b.Fatal(files, err)
		}
		return &opened{target: files[0], close: func() {}}
	}}
}

// copying is glancefs with an image that somebody has had open since before it
// was complete, so that each read of it goes through glancefs.
func copying() tool {
	return tool{name: "glancefs", open: func(b *testing.B, o *origin, id string) *opened {
		g := openGlancefs(b, o, id)
		c, err := command(context.Background(), nil, "sh", "-c", `exec 3<"$1"; head -c 1 <&3; exec sleep infinity`, "sh", g.target)
		if err != nil {
			b.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			b.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		closeMount := g.close
		g.close = func() {
			c.Cancel()
			c.Wait()
			closeMount()
		}
		return g
	}}
}

// plainLoopback is a plain FUSE file system over a file with the image.
func plainLoopback() tool {
	return tool{name: "loopback", open: func(b *testing.B, o *origin, id string) *opened {
		dir, _ := peerDirs(b)
		run(b, "curl", "-sSf", "-o", filepath.Join(dir, "disk"), o.file(id))
		return &opened{
			target: filepath.Join(loopback(b, dir), "disk"),
			close:  func() { os.Remove(filepath.Join(dir, "disk")) },
		}
	}}
}

// out is where a command of a benchmark puts what it reads.
func out(i int) string { return filepath.Join(scratch(), fmt.Sprint("out-", i)) }
