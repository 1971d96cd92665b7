package mounts

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Unmount ends the glancefs mount at dir; lazy takes it from its path also while
// files there are in use. The mount itself is not looked at, because one whose
// process hangs would hang us too. It returns where else the mount is, still.
func Unmount(dir string, lazy bool) (left []string, err error) {
	dir, err = Resolve(dir)
	if err != nil {
		return nil, err
	}
	device, err := At(dir)
	if err != nil {
		return nil, err
	}
	if device == "" {
		return nil, fmt.Errorf("%s: no glancefs is mounted there", dir)
	}
	if lazy {
		err = Detach(dir)
	} else {
		err = unmount(dir)
	}
	if err != nil {
		return nil, err
	}
	return Copies(device), nil
}

func unmount(dir string) error {
	err := unix.Unmount(dir, 0)
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

// Detach takes the mount at dir away from its path, whoever uses it.
func Detach(dir string) error {
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
