package fs

import (
	"context"
	"errors"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A lost node is one that the kernel knows, and of which nothing is left: an
// editor's file, or a draft that was removed while it was open.
type lost struct {
	gofs.Inode
	t *tree
}

var errLost = errors.New("it was lost with the process that served it before")

var (
	_ = (gofs.NodeGetattrer)((*lost)(nil))
	_ = (gofs.NodeSetattrer)((*lost)(nil))
	_ = (gofs.NodeOpener)((*lost)(nil))
	_ = (gofs.NodeLookuper)((*lost)(nil))
	_ = (gofs.NodeOpendirHandler)((*lost)(nil))
)

// Getattr, and what follows, tells that the node is lost.
func (n *lost) Getattr(context.Context, gofs.FileHandle, *fuse.AttrOut) syscall.Errno {
	return n.t.errno("stat", errLost)
}

func (n *lost) Setattr(context.Context, gofs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return n.t.errno("setattr", errLost)
}

func (n *lost) Open(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, n.t.errno("open", errLost)
}

func (n *lost) Lookup(context.Context, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, n.t.errno("look up", errLost)
}

func (n *lost) OpendirHandle(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, n.t.errno("list", errLost)
}
