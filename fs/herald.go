package fs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// HeraldCommand is the command of this program that runs Herald, from its standard
// input to its third descriptor.
const HeraldCommand = "herald"

// A herald gives the kernel notices by way of a process of its own. The kernel takes
// one when nobody holds the directory, or the pages, and who waits for that cannot be
// killed; but who holds them may be waiting for us. So a process that waited by itself
// could die, but not end, and no other would go on with the mount.
type herald struct {
	device *os.File
	log    *slog.Logger
	in     io.WriteCloser // of the process; nil while there is none
}

// newHerald starts the process. Where that fails the next notice tries again.
func newHerald(device *os.File, log *slog.Logger) *herald {
	h := &herald{device: device, log: log}
	h.start()
	return h
}

func (h *herald) start() {
	// What runs is this program, whatever is in its place by now.
	cmd := exec.Command("/proc/self/exe", HeraldCommand)
	cmd.Args[0], cmd.Env, cmd.ExtraFiles = "glancefs", []string{}, []*os.File{h.device}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		h.log.Error("the kernel is not told of what has changed, but finds out in a while", "err", err)
		return
	}
	h.in = in
	go func() { _ = cmd.Wait() }() // it ends with its input
}

// end ends the process, once it has told what it was given.
func (h *herald) end() {
	if h.in != nil {
		h.in.Close()
	}
}

// entry tells of an entry of a directory (linux/fuse.h, fuse_notify_inval_entry_out).
func (h *herald) entry(ctx context.Context, dir uint64, name string) {
	b := binary.LittleEndian.AppendUint64(nil, dir)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	h.tell(ctx, -fuse.NOTIFY_INVAL_ENTRY, append(append(b, name...), 0))
}

// file tells of all that was read of a file (fuse_notify_inval_inode_out).
func (h *herald) file(ctx context.Context, number uint64) {
	b := binary.LittleEndian.AppendUint64(nil, number)
	h.tell(ctx, -fuse.NOTIFY_INVAL_INODE, append(b, make([]byte, 16)...))
}

// noticeHead is the size of what all notices begin with (fuse_out_header).
const noticeHead = 16

// tell hands a notice over, unless ctx ends before the process has room for it.
func (h *herald) tell(ctx context.Context, code uint32, what []byte) {
	if h.in == nil {
		h.start()
	}
	if h.in == nil {
		return
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(noticeHead+len(what)))
	b = binary.LittleEndian.AppendUint32(b, code)
	b = binary.LittleEndian.AppendUint64(b, 0)
	defer context.AfterFunc(ctx, func() { h.in.Close() })()
	if _, err := h.in.Write(append(b, what...)); err != nil {
		h.in.Close()
		h.in = nil
	}
}

// maxNotice is far more than any notice has, in bytes.
const maxNotice = 64 << 10

// Herald gives the kernel, whose end of a mount is the descriptor device, the notices
// that it reads, until there are no more.
func Herald(notices io.Reader, device int) error {
	for {
		b := make([]byte, 4)
		switch _, err := io.ReadFull(notices, b); {
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
		if _, err := io.ReadFull(notices, b[4:]); err != nil {
			return err
		}
		// That there is nothing to forget is no failure.
		if _, err := unix.Write(device, b); errors.Is(err, unix.EBADF) {
			return err
		}
	}
}
