package fs

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// HeraldCommand is the command of this program that writes what it reads to its third
// descriptor, in one write.
const HeraldCommand = "herald"

// A herald gives the kernel notices by way of a process of its own. The kernel takes
// one when nobody holds the directory, or the pages, and who waits for that cannot be
// killed; but who holds them may be waiting for us. So a process that waited by itself
// could die, but not end, and no other would go on with the mount.
type herald struct{ device *os.File }

// entry tells of an entry of a directory (linux/fuse.h, fuse_notify_inval_entry_out).
func (h herald) entry(ctx context.Context, dir uint64, name string) {
	b := binary.LittleEndian.AppendUint64(nil, dir)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	h.tell(ctx, -fuse.NOTIFY_INVAL_ENTRY, append(append(b, name...), 0))
}

// file tells of all that was read of a file (fuse_notify_inval_inode_out).
func (h herald) file(ctx context.Context, number uint64) {
	b := binary.LittleEndian.AppendUint64(nil, number)
	h.tell(ctx, -fuse.NOTIFY_INVAL_INODE, append(b, make([]byte, 16)...))
}

// tell returns when the kernel has taken a notice, or ctx ends.
func (h herald) tell(ctx context.Context, code uint32, what []byte) {
	b := binary.LittleEndian.AppendUint32(nil, uint32(16+len(what)))
	b = binary.LittleEndian.AppendUint32(b, code)
	b = binary.LittleEndian.AppendUint64(b, 0)
	// What runs is this program, whatever is in its place by now.
	cmd := exec.Command("/proc/self/exe", HeraldCommand)
	cmd.Env, cmd.Stdin, cmd.ExtraFiles = []string{}, bytes.NewReader(append(b, what...)), []*os.File{h.device}
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		_ = cmd.Run() // the kernel then relies on what it has for as long as it was told that it may
	}()
	select {
	case <-taken:
	case <-ctx.Done():
	}
}
