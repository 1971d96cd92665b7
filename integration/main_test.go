package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
)

// scratchVar names the directory in which a run keeps everything it makes. It
// is set in the namespaces of a run and nowhere else.
const scratchVar = "GLANCEFS_TEST_SCRATCH"

func scratch() string { return os.Getenv(scratchVar) }

func TestMain(m *testing.M) {
	switch {
	case program() == originProgram || program() == readerProgram:
		if err := benchMain(os.Args); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", program(), err)
			os.Exit(1)
		}
	case scratch() != "":
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	case unavailable() != nil:
		os.Exit(m.Run()) // require skips or fails each test
	default:
		os.Exit(enclose())
	}
}

// enclose runs this test binary again as the first process of new namespaces,
// and returns its exit status. When that process ends, by itself or because
// this one is killed, the kernel kills every process and removes every mount
// it leaves.
func enclose() int {
	dir, err := os.MkdirTemp("", "glancefs-integration")
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Pdeathsig goes by the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// An interrupted run removes its directory, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), scratchVar+"="+dir)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration: starting in namespaces:", err)
		return 1
	}
	return 0
}

// furnish gives the namespaces a /proc of their own and the control directory
// of FUSE connections, and keeps mounts made here from reaching the host.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	err := syscall.Mount("fusectl", connections, "fusectl", 0, "")
	if err != nil && !errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("mounting %s: %w", connections, err)
	}
	// Readers under another uid must get through to the mountpoints.
	return os.Chmod(scratch(), 0o755)
}

// unavailable says why the tests cannot run here, nil where they can.
func unavailable() error {
	if os.Geteuid() != 0 {
		return errors.New("the integration tests need root")
	}
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return errors.New("the integration tests need Debian's servers")
	}
	return nil
}

// require skips a test where it cannot run, and fails it instead where the
// variable CI says that it has to.
func require(tb testing.TB) {
	tb.Helper()
	err := unavailable()
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		tb.Fatal(err)
	}
	tb.Skip(err)
}
