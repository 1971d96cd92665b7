package integration

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// plainNode and plainFile are a directory tree served through FUSE in the plain
// way: every read is answered, none is passed through.
type plainNode struct{ *gofs.LoopbackNode }

func (n *plainNode) WrapChild(_ context.Context, ops gofs.InodeEmbedder) gofs.InodeEmbedder {
	return &plainNode{ops.(*gofs.LoopbackNode)}
}

func (n *plainNode) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	f, _, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &plainFile{f.(*gofs.LoopbackFile)}, fuse.FOPEN_KEEP_CACHE, 0
}

type plainFile struct{ *gofs.LoopbackFile }

func (*plainFile) PassthroughFd() (int, bool) { return -1, false }

// loopback mounts dir once more, through a plain FUSE file system, and returns
// where. It runs in this process, so only other processes may use it.
func loopback(tb testing.TB, dir string) string {
	tb.Helper()
	at, err := os.MkdirTemp(scratch(), "loopback")
	if err != nil {
		tb.Fatal(err)
	}
	root, err := gofs.NewLoopbackRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	hour := time.Hour
	o := &gofs.Options{
		AttrTimeout: &hour, EntryTimeout: &hour,
		MountOptions: fuse.MountOptions{DirectMount: true, MaxWrite: 1 << 20, MaxBackground: 64},
	}
	server, err := gofs.Mount(at, &plainNode{root.(*gofs.LoopbackNode)}, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { server.Unmount() })
	return at
}
