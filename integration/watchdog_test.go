package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"glancefs/glanceapi/glancetest"
)

// A stuckDisk is a directory whose file system tells nothing of its space while
// it is stuck.
type stuckDisk struct {
	dir string

	mu       sync.Mutex
	released chan struct{} // closed when it is not stuck
}

func newStuckDisk(t *testing.T) *stuckDisk {
	t.Helper()
	below, err := os.MkdirTemp(scratch(), "below")
	if err != nil {
		t.Fatal(err)
	}
	d := &stuckDisk{dir: below + "-stuck", released: make(chan struct{})}
	close(d.released)
	root, err := gofs.NewLoopbackRoot(below)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := gofs.Mount(d.dir, &stuckNode{root.(*gofs.LoopbackNode), d}, &gofs.Options{MountOptions: fuse.MountOptions{DirectMount: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Unmount() })
	return d
}

// stick makes it stuck, until what it returns is called, once or more.
func (d *stuckDisk) stick() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released = make(chan struct{})
	return sync.OnceFunc(func() { close(d.released) })
}

// stuckNode is a file or directory of a stuckDisk.
type stuckNode struct {
	*gofs.LoopbackNode
	disk *stuckDisk
}

func (n *stuckNode) WrapChild(_ context.Context, ops gofs.InodeEmbedder) gofs.InodeEmbedder {
	return &stuckNode{ops.(*gofs.LoopbackNode), n.disk}
}

func (n *stuckNode) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.disk.mu.Lock()
	released := n.disk.released
	n.disk.mu.Unlock()
	<-released
	return n.LoopbackNode.Statfs(ctx, out)
}

// TestWatchdog has a mount hang, whose processes are alive: the watchdog does not
// hear of it for as long as it does, and before that ends all of them the one that
// serves is replaced. What asks is a process of its own, of which there is one at
// most.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	require(t)
	s := glancetest.New(t)
	systemd := newSystemd(t)
	disk := newStuckDisk(t)
	m := mountEnv(t, systemd.environ(8*time.Second), "--endpoint", s.URL, "--cache-dir", disk.dir, "--cache-size", "1GiB")
	systemd.hears(t, "WATCHDOG=1")
	release := disk.stick()
	defer release()
	// First, because it ends with the worker, which is killed in a few seconds.
	var open []byte
	err := eventually("one process to ask", func() (bool, error) {
		var err error
		open, err = try(nil, "sh", "-c", `ls -l "/proc/$(pgrep -f "probe $1")/fd"`, "sh", m.Dir)
		return err == nil, err
	})
	// It does not hold the kernel's end of the mount.
	if err != nil || strings.Contains(string(open), "/dev/fuse") {
		t.Errorf("who asks has open: %s, %v", open, err)
	}
	// What was under way may still be told, nothing after that.
	systemd.told(2*time.Second, func(string) bool { return false })
	if m, err := systemd.told(time.Second, func(m string) bool { return strings.Contains(m, "WATCHDOG") }); err == nil {
		t.Errorf("of a mount that hangs the watchdog hears %q", m)
	}
	m.says(t, "its worker is killed")
	systemd.told(3*time.Second, func(string) bool { return false })
	release() // what waits for a disk cannot be killed
	systemd.hears(t, "WATCHDOG=1")
	m.says(t, "takes too long; killed")
	if n := strings.Count(m.Stderr.String(), "takes too long; killed"); n != 1 {
		t.Errorf("it says %d times that the worker is killed", n)
	}
	run(t, "ls", m.Dir)
}

// TestWatchdogBlind has a worker that can open no file any more, and so not find out
// whether its mount answers: it goes on, the watchdog hears of it, and the log has one
// line of that.
func TestWatchdogBlind(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	systemd := newSystemd(t)
	m := mountEnv(t, systemd.environ(8*time.Second), "--endpoint", s.URL)
	systemd.hears(t, "WATCHDOG=1")
	pid, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	var had unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &had); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: had.Max}, nil); err != nil {
		t.Fatal(err)
	}
	m.says(t, "not known whether the mount answers")
	mount(t, "--endpoint", s.URL) // of which the table tells that it cannot read
	// It is asked every two seconds, and a worker that is silent for six is ended.
	for range 5 {
		systemd.hears(t, "WATCHDOG=1")
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &had, nil); err != nil {
		t.Fatal(err)
	}
	m.says(t, "can be asked again")
	if now, err := m.worker(); now != pid || err != nil {
		t.Errorf("the worker %d was replaced by %d, %v", pid, now, err)
	}
	if strings.Contains(m.Stderr.String(), "will not be noticed") {
		t.Error("it does not look after its mount any more")
	}
	if n := strings.Count(m.Stderr.String(), "not known whether"); n != 1 {
		t.Errorf("it says %d times that it does not know", n)
	}
}

// TestHeldByDisk ends a worker that waits for a disk that is stuck: the log and the
// status say so, and the next goes on when the disk does.
func TestHeldByDisk(t *testing.T) {
	t.Parallel()
	require(t)
	t.Run("by a signal", func(t *testing.T) {
		t.Parallel()
		heldByDisk(t, "most often for a disk", func(m *Mount, pid int) error { return syscall.Kill(pid, syscall.SIGKILL) })
	})
	t.Run("by an upgrade", func(t *testing.T) {
		t.Parallel()
		heldByDisk(t, "waits for it", func(m *Mount, pid int) error { return m.cmd.Process.Signal(syscall.SIGUSR2) })
	})
}

func heldByDisk(t *testing.T, says string, end func(m *Mount, pid int) error) {
	s := glancetest.New(t)
	disk := newStuckDisk(t)
	m := mount(t, "--endpoint", s.URL, "--cache-dir", disk.dir, "--cache-size", "1GiB")
	pid, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	release := disk.stick()
	defer release()
	asked := make(chan error)
	go func() {
		_, err := try(nil, "stat", "-f", m.Dir)
		asked <- err
	}()
	err = eventually("the worker to wait for the disk", func() (bool, error) {
		out, err := try(nil, "sh", "-c", `cat /proc/$1/task/*/wchan`, "sh", strconv.Itoa(pid))
		return strings.Contains(string(out), "request_wait_answer"), err
	})
	if err != nil {
		t.Error(err)
	}
	if err := end(m, pid); err != nil {
		t.Error(err)
	}
	out, err := try(nil, "glancefs", "status", m.Dir)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("worker %d was killed", pid)) || !strings.Contains(err.Error(), says) {
		t.Errorf("status says %s, %v", out, err)
	}
	m.says(t, "does not end")
	if n := strings.Count(m.Stderr.String(), "does not end"); n != 1 {
		t.Errorf("the log says %d times that the worker does not end", n)
	}
	release()
	if err := <-asked; err != nil {
		t.Error(err)
	}
	run(t, "glancefs", "status", m.Dir)
}

// TestStuckSystemd: a systemd that takes no messages any more does not keep a mount
// from its work, nor from ending.
func TestStuckSystemd(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1000)
	id := s.Add(t, "disk", data)
	systemd := newSystemd(t)
	systemd.fill(t)
	m := mountEnv(t, systemd.environ(2*time.Second), "--endpoint", s.URL)
	m.says(t, "systemd not told")
	m.cmd.Process.Signal(syscall.SIGHUP)
	sha512sum(t, filepath.Join(m.Dir, "images", id, "data"), data)
	m.Stop(t)
}
