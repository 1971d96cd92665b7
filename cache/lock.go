package cache

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockFile = "lock"
	// lockPatience is how long Open waits for a store that is just closing.
	lockPatience = 3 * time.Second
)

// ErrBusy is returned by Open for a directory another store holds.
var ErrBusy = errors.New("in use by another process")

// lockDir takes the lock of dir. A process that is just ending gives it up
// soon, so that a mount may follow an unmount at once.
func lockDir(dir string, resumes bool) (*os.File, error) {
	f, err := openLock(dir, resumes)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; time.Sleep(50 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = ErrBusy
			}
			return nil, err
		}
	}
}

// openLock opens the lock of dir, to write it, as network file systems demand of who
// locks a file. A store that resumes may find that the disk takes no change any more, and
// then opens it to read it, which local file systems can lock as well.
func openLock(dir string, resumes bool) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := OpenPrivate(path, os.O_CREATE|os.O_RDWR)
	if resumes && (errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM)) {
		return OpenPrivate(path, os.O_RDONLY)
	}
	return f, err
}
