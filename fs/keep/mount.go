package keep

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Options are those of a mount.
type Options struct {
	Source     string // what mount(8) lists as mounted there
	AllowOther bool
	ReadOnly   bool
	MaxRead    int // the longest READ, in bytes
}

// mount mounts a file system of glancefs at dir, and returns the kernel's end of
// it, which nobody serves yet. What the kernel takes is in fs/fuse/inode.c,
// fuse_fs_parameters.
func mount(dir string, o Options) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", dir, err)
	}
	// Not by os.OpenFile, which would have it polled.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := []string{
		fmt.Sprintf("fd=%d", fd), fmt.Sprintf("rootmode=%o", st.Mode&unix.S_IFMT),
		fmt.Sprintf("user_id=%d", os.Geteuid()), fmt.Sprintf("group_id=%d", os.Getegid()),
		fmt.Sprintf("max_read=%d", o.MaxRead), "default_permissions",
	}
	if o.AllowOther {
		options = append(options, "allow_other")
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if o.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(o.Source, dir, "fuse.glancefs", flags, strings.Join(options, ",")); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	return os.NewFile(uintptr(fd), "/dev/fuse"), nil
}

// unmount takes the mount from its path. Those who use it get errors once the
// keeper has ended, and with it the last who has the kernel's end open.
func (k *keeper) unmount() {
	if k.device == nil {
		return
	}
	if err := unix.Unmount(k.Dir, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
		k.Log.Error("not unmounted", "mountpoint", k.Dir, "err", err)
	}
}
