package cache

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A file that was Complete may be read for longer than anybody here knows: by the
// kernel for a mount that has ended, or for a process that has it mapped and has closed
// it. A hole would be read as zeros there, so nothing of such a file is evicted.

// errElsewhere is why a file is not cut short.
var errElsewhere = errors.New("it is open elsewhere")

// elsewhereFor is for how long that a file is open elsewhere is taken to be so.
const elsewhereFor = time.Second

func lately(t time.Time) bool { return time.Since(t) < elsewhereFor }

// isElsewhere reports whether the file of b, which has its files open, is open
// elsewhere. Nobody else here opens it but with a pin. Called with mu held.
func (b *Blob) isElsewhere() bool {
	if !b.store.isElsewhere(b.data) {
		return false
	}
	b.elsewhere = time.Now()
	return true
}

// isElsewhere reports whether a file is open in another way than as data. That is what
// the kernel refuses a lease for, and it counts its own openings and mappings. File
// systems without leases have nothing to tell.
func (s *Store) isElsewhere(data *os.File) bool {
	conn, err := data.SyscallConn()
	if err != nil || s.remote {
		return false
	}
	var refused error
	err = conn.Control(func(fd uintptr) {
		if _, refused = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_WRLCK); refused == nil {
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	})
	return err == nil && errors.Is(refused, unix.EAGAIN)
}

// isRemote reports whether dir is on a file system that refuses a lease of any file that
// the server has not promised to this host, as it may or may not: that says nothing of who
// has the file open, and nothing would ever be evicted.
func isRemote(dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return true
	}
	return false
}
