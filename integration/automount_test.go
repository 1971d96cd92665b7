package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glancefs/glanceapi/glancetest"
)

// TestAutomount has the kernel ask for the mount when somebody first goes there,
// as systemd has it for a line with x-systemd.automount. Whoever looks at the
// directory meanwhile waits for the mount, except the process group that has to
// bring it about.
func TestAutomount(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	s.Add(t, "disk", noise(t.Name(), 1000))
	table, dir := fstab(t, "glancefs#"+s.URL, "allow_other")
	a := newAutomount(t, dir)
	seen := make(chan error, 1)
	go func() {
		out, err := try(nil, "ls", filepath.Join(dir, "by-name"))
		if err == nil && string(out) != "disk\n" {
			err = fmt.Errorf("listed: %q", out)
		}
		seen <- err
	}()
	token, err := a.asked()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := command(ctx, nil, "mount", "-T", table, dir)
	if err != nil {
		t.Fatal(err)
	}
	c.SysProcAttr = nil // in the group of this process, as that of systemd's mount is
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	if err := a.ready(token); err != nil {
		t.Fatal(err)
	}
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// An automount is a directory watched as by automount(8), in the protocol of
// the kernel's autofs.
type automount struct {
	dir  *os.File // below what is mounted on it
	pipe *os.File // on which the kernel asks
}

func newAutomount(t *testing.T, path string) *automount {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	options := fmt.Sprintf("fd=%d,minproto=5,maxproto=5,direct", w.Fd())
	if err := syscall.Mount("test", path, "autofs", 0, options); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended(t, path)
		dir.Close()
		r.Close()
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return &automount{dir, r}
}

// asked waits for the kernel to ask for the mount, with a packet of struct
// autofs_v5_packet.
func (a *automount) asked() (token uint32, err error) {
	b := make([]byte, 512)
	a.pipe.SetReadDeadline(time.Now().Add(patience))
	n, err := a.pipe.Read(b)
	if err != nil {
		return 0, err
	}
	const missingDirect = 5
	if kind := binary.NativeEndian.Uint32(b[4:]); n < 12 || kind != missingDirect {
		return 0, fmt.Errorf("the kernel sent %d bytes of type %d", n, kind)
	}
	return binary.NativeEndian.Uint32(b[8:]), nil
}

// ready tells the kernel that the mount is there.
func (a *automount) ready(token uint32) error {
	const autofsReady = 0x9360
	return unix.IoctlSetInt(int(a.dir.Fd()), autofsReady, int(token))
}
