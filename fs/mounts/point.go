package mounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CheckFree says why nothing can be mounted at dir.
func CheckFree(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return fmt.Errorf("mountpoint %s: the glancefs there has died; end its mount with \"glancefs umount %s\"", dir, dir)
	case err != nil:
		return fmt.Errorf("mountpoint: %w", err)
	case len(entries) > 0 && shows(dir):
		return fmt.Errorf("mountpoint %s: a glancefs is mounted there already", dir)
	case len(entries) > 0:
		return fmt.Errorf("mountpoint %s is not empty", dir)
	}
	return nil
}

// shows reports whether a glancefs is mounted at dir.
func shows(dir string) bool {
	dir, err := Resolve(dir)
	if err != nil {
		return false
	}
	device, err := At(dir)
	return err == nil && device != ""
}

// maxLinks is how many symbolic links a mountpoint may be behind, as the kernel has it.
const maxLinks = 40

// Resolve makes dir absolute and free of symbolic links, as the mount table has it,
// without asking what is mounted there, which may hang: that a directory is no link the
// kernel says by itself.
func Resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
		if err != nil {
			return "", err
		}
		dir = filepath.Join(parent, filepath.Base(dir))
		to, err := os.Readlink(dir)
		switch {
		case err != nil:
			return dir, nil
		case filepath.IsAbs(to):
			dir = filepath.Clean(to)
		default:
			dir = filepath.Join(parent, to)
		}
	}
	return "", fmt.Errorf("%s: too many symbolic links", dir)
}
