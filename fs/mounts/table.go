// Package mounts is the mount table of this process, as far as glancefs is in it: where
// one is mounted, whether it is still, and how it is taken away.
package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ownTable lists the mounts of this mount namespace (proc_pid_mountinfo(5)). The
// kernel wakes who polls it when it has changed.
const ownTable = "/proc/self/mountinfo"

// An entry is one mount, of whatever is mounted.
type entry struct {
	device   string // major:minor; all mounts and copies of one glancefs have the same, and no other has
	dir      string
	glancefs bool
}

// parse reads a mount table: field 3 of a line is the device, field 5 the
// mountpoint, and the type is the first one behind "-".
func parse(table []byte) (all []entry) {
	for line := range strings.Lines(string(table)) {
		mount, super, _ := strings.Cut(line, " - ")
		if f := strings.Fields(mount); len(f) > 4 {
			all = append(all, entry{f[2], unescapeOctal(f[4]), strings.HasPrefix(super, "fuse.glancefs ")})
		}
	}
	return all
}

// unescapeOctal undoes the kernel's escapes of space, tab, newline and
// backslash in mountinfo.
func unescapeOctal(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// At returns the device of the glancefs that is the topmost mount at dir, ""
// if none is.
func At(dir string) (device string, err error) {
	table, err := os.ReadFile(ownTable)
	if err != nil {
		return "", err
	}
	for _, e := range parse(table) {
		if e.dir == dir {
			device = ""
			if e.glancefs {
				device = e.device
			}
		}
	}
	return device, nil
}

// hasMount reports whether the glancefs of a device is mounted anywhere in this
// mount namespace.
func hasMount(device string) (bool, error) {
	table, err := os.ReadFile(ownTable)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(parse(table), func(e entry) bool { return e.glancefs && e.device == device }), nil
}

// Copies returns where else the glancefs of a device is mounted, as far as this
// process may look: in its own mount namespace, and by way of one process in each
// other.
func Copies(device string) (paths []string) {
	tables, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	seen := make(map[string]bool)
	for _, table := range slices.Insert(tables, 0, ownTable) {
		process := filepath.Dir(table)
		namespace, err := os.Readlink(filepath.Join(process, "ns/mnt"))
		if err != nil || seen[namespace] {
			continue
		}
		b, err := os.ReadFile(table)
		if err != nil {
			continue // it has ended, or may not be looked at
		}
		seen[namespace] = true
		for _, e := range parse(b) {
			switch {
			case !e.glancefs || e.device != device:
			case table == ownTable:
				paths = append(paths, e.dir)
			default:
				paths = append(paths, filepath.Join(process, "root", e.dir))
			}
		}
	}
	return paths
}

// lookAgain is how long after a first look a mount has to be missed still: it may
// have been moved while the table was read.
const lookAgain = 200 * time.Millisecond

// scarceEvery is how often it is tried to look at the mount table while memory or
// descriptors have run out.
const scarceEvery = time.Second

// AwaitDetached returns when this mount namespace has no mount of a device any more,
// or within a minute of the end of ctx.
func AwaitDetached(ctx context.Context, device string) error {
	for {
		err := awaitTable(ctx, device)
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) && !errors.Is(err, unix.ENOMEM) {
			return err
		}
		select {
		case <-time.After(scarceEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitTable is AwaitDetached, but for the want of resources.
func awaitTable(ctx context.Context, device string) error {
	// Before the first look, so that no change after it is missed; and not by os.Open,
	// whose poller would be told of changes instead of us.
	table, err := unix.Open(ownTable, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", ownTable, err)
	}
	defer unix.Close(table)
	missed := false
	for ctx.Err() == nil {
		has, err := hasMount(device)
		if err != nil || missed && !has {
			return err
		}
		if missed = !has; missed {
			time.Sleep(lookAgain)
			continue
		}
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(table), Events: unix.POLLPRI}}, int(time.Minute.Milliseconds()))
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("poll %s: %w", ownTable, err)
		}
	}
	return ctx.Err()
}
