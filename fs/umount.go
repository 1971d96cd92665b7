package fs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Unmount ends the glancefs mount at dir; lazy takes it from its path also while
// files there are in use. The mount itself is not looked at, because one whose
// process hangs would hang us too.
func Unmount(dir string, lazy bool) error {
	dir, err := resolve(dir)
	if err != nil {
		return err
	}
	mounted, err := isMounted(dir)
	if err != nil {
		return err
	}
	if !mounted {
		return fmt.Errorf("%s: no glancefs is mounted there", dir)
	}
	if lazy {
		return detach(dir)
	}
	err = unix.Unmount(dir, 0)
	if errors.Is(err, unix.EPERM) {
		err = fusermount("-u", dir)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("unmount %s: files there are in use (\"fuser -vm %s\" says by whom; --lazy does it all the same)", dir, dir)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// detach takes the mount at dir away from its path, whoever uses it.
func detach(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, unix.EPERM) {
		err = fusermount("-uz", dir)
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", dir, err)
	}
	return nil
}

// fusermount is for users who may not unmount by themselves.
func fusermount(args ...string) error {
	out, err := exec.Command("fusermount3", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fusermount3: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// resolve makes dir absolute and free of symbolic links, without touching the
// last component.
func resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(dir)), nil
}

// isMounted reports whether the topmost mount at dir is a glancefs, by
// mountinfo (proc_pid_mountinfo(5)): field 5 is the mountpoint, and the type
// is the first one behind "-".
func isMounted(dir string) (bool, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer f.Close()
	found := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		mount, super, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if len(fields) > 4 && unescapeOctal(fields[4]) == dir {
			found = strings.HasPrefix(super, "fuse.glancefs ")
		}
	}
	return found, lines.Err()
}

// unescapeOctal undoes the kernel's escapes of space, tab, newline and
// backslash in mountinfo.
func unescapeOctal(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
