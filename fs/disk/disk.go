// Package disk is how files beside the cache are written so that they are there or are
// not, and whether a disk still has what it has taken.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// HalfSuffix ends the name of a file that is being written. One that is left was not
// finished.
const HalfSuffix = ".tmp"

// Replace makes path what write writes, or leaves what was there. durable is
// for the power to go off.
func Replace(path string, durable bool, write func(io.Writer) error) error {
	half := path + HalfSuffix
	os.Remove(half) // one of an earlier process, or what somebody else has put there
	f, err := os.OpenFile(half, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil && durable {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(half, path)
	}
	if err != nil {
		os.Remove(half)
		return err
	}
	if !durable {
		return nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// All writes b.
func All(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// ErrDamaged is why bytes that a disk has taken are not there.
var ErrDamaged = errors.New("the cache disk has lost some of what was written; it has to be written anew")

// Damaged returns ErrDamaged if the disk has lost any of what was written to a file, since
// it was opened here or without anybody having been told. A disk that breaks, or a thin
// one that finds no room behind it, fails when the writer has gone on long since; then
// there are zeros. The kernel tells it once: who waits for a byte, or syncs.
func Damaged(f *os.File) error {
	err := unix.SyncFileRange(int(f.Fd()), 0, 1, unix.SYNC_FILE_RANGE_WAIT_BEFORE)
	if err != nil {
		// Not as the cause: a thin disk may say that it is full, which is no matter of
		// making room any more.
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return nil
}

// Inode returns the number of what is at path, within its file system.
func Inode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	return st.Ino, nil
}
