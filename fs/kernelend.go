package fs

import (
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// kernelEnds returns where this process has kernel's ends of mounts open, and closes
// them to the programs that are started from now on. go-fuse does so only where
// fusermount3 has mounted; and a program that has the end of the mount and outlives
// this process keeps whoever uses the mount waiting for ever.
func kernelEnds() (ends []int, err error) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if n, err := strconv.Atoi(fd.Name()); err == nil && to == "/dev/fuse" {
			unix.CloseOnExec(n)
			ends = append(ends, n)
		}
	}
	return ends, nil
}

// takeEnd finds the kernel's end of the mount, which go-fuse keeps to itself where it
// has mounted. Those that were open before are of other mounts: whoever has started
// this process has left them open.
func (m *Mount) takeEnd(before []int) error {
	ends, err := kernelEnds()
	if err != nil {
		return err
	}
	if m.kept != nil {
		m.end = m.kept.Device
		return nil
	}
	i := slices.IndexFunc(ends, func(n int) bool { return !slices.Contains(before, n) })
	if i < 0 {
		return errors.New("the kernel's end of the mount is not found")
	}
	end, err := unix.FcntlInt(uintptr(ends[i]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m.end = os.NewFile(uintptr(end), "/dev/fuse")
	return nil
}
