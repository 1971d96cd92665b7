package herald

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// givenEnd and givenKeeper are where a herald has the kernel's end of the mount
	// open, and the process (pidfd) that keeps the mount, if one does.
	givenEnd    = 3
	givenKeeper = 4
	// maxNotice is far more than any notice has, in bytes.
	maxNotice = 64 << 10
	// takesLong is longer than the kernel takes for a notice when nobody is in its way.
	takesLong = 100 * time.Millisecond
)

// connections is where the kernel lets the owner of a mount end it (fusectl). It need
// not be mounted.
const connections = "/sys/fs/fuse/connections"

// Run gives the kernel the notices that it reads from standard input, for the mount
// of a device, until there are no more. When nobody is left who would answer those that
// the kernel waits for, it ends the mount: they would wait for ever, and it for them.
// That is when the keeper has ended, or, of a mount that is not kept, the process that
// has started this one.
func Run(device string, kept bool) error {
	serving := unix.PollFd{Fd: 0} // of which the end shows though there is more to read
	if kept {
		serving = unix.PollFd{Fd: givenKeeper, Events: unix.POLLIN}
	}
	var calls atomic.Uint64 // begun and ended: odd while the kernel is at one
	go func() {
		if err := awaitEnd(serving); err == nil {
			abortHeld(device, &calls)
		}
	}()
	for {
		b := make([]byte, 4)
		switch _, err := io.ReadFull(os.Stdin, b); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		n := binary.LittleEndian.Uint32(b)
		if n < noticeHead || n > maxNotice {
			return fmt.Errorf("a notice of %d bytes", n)
		}
		b = append(b, make([]byte, n-4)...)
		if _, err := io.ReadFull(os.Stdin, b[4:]); err != nil {
			return err
		}
		calls.Add(1)
		_, err := unix.Write(givenEnd, b)
		calls.Add(1)
		// That there is nothing to forget is no failure.
		if errors.Is(err, unix.EBADF) {
			return err
		}
	}
}

// awaitEnd returns when what is polled has ended.
func awaitEnd(of unix.PollFd) error {
	for {
		if _, err := unix.Poll([]unix.PollFd{of}, -1); err != unix.EINTR {
			return err
		}
	}
}

// abortHeld ends the mount of a device once the kernel is held up at a notice. For as
// long as it is at one the mount is there, and no other has its number.
func abortHeld(device string, calls *atomic.Uint64) {
	_, minor, ok := strings.Cut(device, ":")
	for ok {
		at := calls.Load()
		time.Sleep(takesLong)
		if at%2 == 0 || at != calls.Load() {
			continue
		}
		abort, err := os.OpenFile(filepath.Join(connections, minor, "abort"), os.O_WRONLY, 0)
		if err == nil {
			_, err = abort.WriteString("1")
			abort.Close()
		}
		if err == nil {
			return
		}
	}
}
