package fs

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// closeOnExec closes what this process has open of path to the programs it
// starts from now on. go-fuse does so only where fusermount3 has mounted; and a
// program that has the kernel's end of the mount and outlives this process keeps
// whoever uses the mount waiting for ever.
func closeOnExec(path string) error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if n, err := strconv.Atoi(fd.Name()); err == nil && to == path {
			unix.CloseOnExec(n)
		}
	}
	return nil
}
