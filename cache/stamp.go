package cache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A stamp says that the whole blob was found to match its digest, and binds
// that to the state the data file was in: it holds while this boot lasts and
// the file keeps its ctime. Whoever writes to the file changes the ctime; a
// loss of power, which can undo writes without a trace, changes the boot.
type stamp [sha256.Size]byte

// errLonger is of a data file that somebody has made longer than its blob is.
var errLonger = errors.New("the cache file is longer than the image")

// stampOf is the stamp that fits the data file as it is now. A file that is longer than
// the blob has none, because the kernel, which reads it by itself, would give that out.
func (b *Blob) stampOf(data *os.File) (stamp, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return stamp{}, err
	}
	info, err := data.Stat()
	if err != nil {
		return stamp{}, err
	}
	if info.Size() > b.size {
		return stamp{}, errLonger
	}
	st := info.Sys().(*syscall.Stat_t)
	return sha256.Sum256(fmt.Appendf(nil, "%s %s %d %d", b.key, boot, st.Ino, st.Ctim.Nano())), nil
}

// stamped reports whether the index bears the stamp s.
func stamped(index *os.File, s stamp) bool {
	var have stamp
	_, err := index.ReadAt(have[:], stampOffset)
	return err == nil && have == s
}

// writeStamp makes the index bear the stamp s.
func writeStamp(index *os.File, s stamp) error {
	_, err := index.WriteAt(s[:], stampOffset)
	return err
}
