package fs

import (
	"crypto/sha256"
	"encoding/binary"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// An identity is what a node is: enough to make it again, in this process or any
// other. Its kind is one of kinds.
type identity struct{ kind, id string }

var rootIdentity = identity{}

// kinds of nodes, but for the root.
var kinds = [...]string{
	"top", "about", "image", "data", "meta.json", "members", "members.json", "member",
	"by-name", "found", "incoming", "made", "query", "by-member", "draft", "scratch",
}

// number is the node's number. go-fuse keeps the numbers from 1<<63 up, and 0 and 1,
// to itself. The hash makes it infeasible to choose an image's id so that its node
// takes the place of another's.
func (i identity) number() uint64 {
	if i == rootIdentity {
		return fuse.FUSE_ROOT_ID
	}
	sum := sha256.Sum256([]byte(i.kind + "/" + i.id))
	return max(2, binary.BigEndian.Uint64(sum[:8])&^(1<<63))
}

// mode is the type of the node, as in st_mode.
func (i identity) mode() uint32 {
	switch i.kind {
	case rootIdentity.kind, "top", "image", "members", "made", "query", "by-member":
		return syscall.S_IFDIR
	case "by-name", "found", "incoming":
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

// stable is what of a node never changes.
func (i identity) stable() gofs.StableAttr {
	return gofs.StableAttr{Mode: i.mode(), Ino: i.number()}
}

// entry is the node as an entry of a directory, called name there.
func (i identity) entry(name string) fuse.DirEntry {
	return fuse.DirEntry{Name: name, Mode: i.mode(), Ino: i.number()}
}

// path is where a directory is, below the mountpoint.
func (i identity) path() string {
	switch i.kind {
	case "top":
		return i.id
	case "image", "made":
		return "images/" + i.id
	case "members":
		return "images/" + i.id + "/members"
	}
	return i.kind + "/" + i.id
}
