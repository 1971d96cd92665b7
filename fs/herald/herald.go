// Package herald tells the kernel what it is to forget of a mount, by way of a process
// of its own.
package herald

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Command is the command of this program that calls Run, with the device of the mount as
// its argument, and Kept as another if the mount is kept.
const (
	Command = "herald"
	Kept    = "kept"
)

// A Herald gives the kernel notices by way of a process of its own. The kernel takes
// one when nobody holds the directory, or the pages, and who waits for that cannot be
// killed; but who holds them may be waiting for us. So a process that waited by itself
// could die, but not end: no other would go on with the mount, nor would the kernel end
// it.
type Herald struct {
	end     *os.File // the kernel's, of the mount
	device  string   // of the mount; "" if it was not found
	lasting bool     // the mount is there for as long as its keeper is
	log     *slog.Logger
	in      io.WriteCloser // of the process; nil while there is none
}

// Start starts the process, for the mount of a device ("" if that was not found) of which
// end is the kernel's. lasting says that the parent of this process keeps the mount. Where
// it cannot be started the next notice tries again.
func Start(end *os.File, device string, lasting bool, log *slog.Logger) *Herald {
	h := &Herald{end: end, device: device, lasting: lasting, log: log}
	h.start()
	return h
}

func (h *Herald) start() {
	in, err := h.process()
	if err != nil {
		h.log.Error("the kernel is not told of what has changed, but finds out in a while", "err", err)
		return
	}
	h.in = in
}

// process starts the process and returns its input.
func (h *Herald) process() (io.WriteCloser, error) {
	// What runs is this program, whatever is in its place by now.
	cmd := exec.Command("/proc/self/exe", Command, h.device)
	cmd.Args[0], cmd.Env, cmd.ExtraFiles = "glancefs", []string{}, []*os.File{h.end}
	if h.lasting {
		fd, err := unix.PidfdOpen(os.Getppid(), 0)
		if err != nil {
			return nil, fmt.Errorf("pidfd_open: %w", err)
		}
		keeper := os.NewFile(uintptr(fd), "keeper")
		defer keeper.Close()
		cmd.Args, cmd.ExtraFiles = append(cmd.Args, Kept), append(cmd.ExtraFiles, keeper)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait() }() // it ends with its input
	return in, nil
}

// Close ends the process, once it has told what it was given.
func (h *Herald) Close() {
	if h.in != nil {
		h.in.Close()
	}
}

// Entry tells of an entry of a directory, by the number of that (linux/fuse.h, fuse_notify_inval_entry_out).
func (h *Herald) Entry(ctx context.Context, dir uint64, name string) {
	b := binary.LittleEndian.AppendUint64(nil, dir)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	h.tell(ctx, invalEntry, append(append(b, name...), 0))
}

// File tells of all that was read of a file (fuse_notify_inval_inode_out).
func (h *Herald) File(ctx context.Context, number uint64) {
	b := binary.LittleEndian.AppendUint64(nil, number)
	h.tell(ctx, invalInode, append(b, make([]byte, 16)...))
}

// The codes of the notices (fuse_notify_code).
const (
	invalInode = 2
	invalEntry = 3
)

// noticeHead is the size of what all notices begin with (fuse_out_header).
const noticeHead = 16

// tell hands a notice over, unless ctx ends before the process has room for it.
func (h *Herald) tell(ctx context.Context, code uint32, what []byte) {
	if h.in == nil && ctx.Err() == nil {
		h.start()
	}
	in := h.in
	if in == nil {
		return
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(noticeHead+len(what)))
	b = binary.LittleEndian.AppendUint32(b, code)
	b = binary.LittleEndian.AppendUint64(b, 0)
	defer context.AfterFunc(ctx, func() { in.Close() })()
	if _, err := in.Write(append(b, what...)); err != nil {
		in.Close()
		h.in = nil
	}
}
