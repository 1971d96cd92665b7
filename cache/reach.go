package cache

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// errUnkept is of a disk that has said that it took data, and then did not.
var errUnkept = errors.New("the cache disk has lost what was written to it")

// reach returns when the first size bytes of a file are on the disk, or errUnkept. Until
// then memory has them: a disk that breaks, or a thin one that finds no room behind it,
// fails when nobody writes any more. What it did not take is gone when the memory is
// needed, and the kernel, which reads the file by itself, would give out zeros.
//
// It goes by extents, because a process cannot end while it waits for the disk, and the
// next one waits for that. For the same reason it does not wait for the file system's
// journal, as a sync does: a stamp holds for this boot only, and until then the memory
// has where they are.
func reach(ctx context.Context, file *os.File, size int64) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	const through = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	for off := int64(0); off < size && ctx.Err() == nil; off += ExtentSize {
		if cerr := conn.Control(func(fd uintptr) { err = unix.SyncFileRange(int(fd), off, ExtentSize, through) }); cerr != nil {
			return cerr
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errUnkept, err)
		}
	}
	return ctx.Err()
}
