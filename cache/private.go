package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A cache directory may be one that others can write, such as a file system of its
// own with the mode of /tmp. Whatever is made in it is for this user alone, and
// what somebody else may have put in its place is refused.

// PrivateDir makes the directory at path, with mode 0700. One that is there gets
// that mode; it is an error if it is no directory, a symbolic link, or another
// user's.
func PrivateDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := OpenPrivate(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", path)
	case info.Mode().Perm() != 0o700:
		return f.Chmod(0o700)
	}
	return nil
}

// OpenPrivate opens a file or directory, and makes a file with mode 0600 where flag
// says so. It is an error if it is a symbolic link, neither of the two, or another
// user's.
func OpenPrivate(path string, flag int) (*os.File, error) {
	// A pipe would have us wait for its writer.
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link, which somebody else may have made", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fmt.Errorf("%s is neither a file nor a directory", path)
	}
	if err == nil {
		if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
			err = fmt.Errorf("%s belongs to user %d, not to user %d", path, owner, os.Geteuid())
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
