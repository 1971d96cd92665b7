// Package fs is the tree a user sees: directories, image data, metadata and
// the rules by which they show, and nothing else. It gets images from what the
// image service's client offers, and bytes from the cache.
//
// Nodes hold what they are, such as the data of an image of some id, and nothing
// that could not be found again from that; their numbers are derived from it. So
// another process can go on with the mount when this one ends. Image data is read
// without a file handle; of the handles that other files have is written down what
// they are handles of, see lasting.
package fs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"glancefs/cache"
	"glancefs/fs/catalog"
	"glancefs/fs/ledger"
	"glancefs/fs/publish"
	"glancefs/glanceapi"
)

// opener is what image data needs of the image service.
type opener interface {
	OpenData(ctx context.Context, id string, off, n, size int64) (glanceapi.Data, error)
}

// changer is what changing and removing images needs of it.
type changer interface {
	Update(ctx context.Context, id string, ch glanceapi.Change) (glanceapi.Image, error)
	Delete(ctx context.Context, id string) error
}

// memberChanger is what sharing them needs of it.
type memberChanger interface {
	AddMember(ctx context.Context, id string, m glanceapi.Member) error
	SetMember(ctx context.Context, id string, m glanceapi.Member) error
	RemoveMember(ctx context.Context, id, project string) error
	ReplaceMembers(ctx context.Context, id string, all []glanceapi.Member) error
}

// describer is what .glancefs tells of the image service.
type describer interface {
	Endpoint() string
	Version() string
	Stats() glanceapi.Stats
	TokenExpires() time.Time
}

// A service is the image service as the tree uses it.
type service interface {
	catalog.Service
	publish.Service
	opener
	changer
	memberChanger
	describer
}

// tree is what all nodes of one mount share.
type tree struct {
	service  service
	catalog  *catalog.Catalog
	refresh  time.Duration // how long an answer of the service is believed
	incoming *incoming
	store    *cache.Store
	cacheDir string
	uid, gid uint32
	log      *slog.Logger
	started  time.Time
	metrics  *prometheus.Registry

	notices chan notice
	edits   edits

	strict      bool // data is not readable before it is verified
	allowDelete bool // images and members can be removed

	upkeep    atomic.Pointer[Upkeep]
	lastError atomic.Pointer[failure]
	data      sync.Map // of *imageData, by node number: those that were opened

	nodes  nodes
	doubts chan uint64    // numbers of nodes that the kernel may not know, see settleNodes
	ledger *ledger.Ledger // nil where no process follows this one
}

// opened returns the image data of that node number, if that is what it is and
// it has been opened.
func (t *tree) opened(id uint64) *imageData {
	d, _ := t.data.Load(id)
	data, _ := d.(*imageData)
	return data
}

// failure is an error that a user saw as EIO.
type failure struct {
	doing, reason string
	at            time.Time
}

// node is the part that all kinds of node have: the tree they belong to, and
// the refusal to be changed.
type node struct {
	gofs.Inode
	t *tree
}

// A child is a node as a directory hands it out.
type child interface {
	gofs.InodeEmbedder
	// identity tells what the child is, and with that its type and number.
	identity() identity
	// stat fills in what is known. It asks the service only for an image of
	// which nothing is known.
	stat(ctx context.Context, a *fuse.Attr) error
	// life is how long the kernel may rely on the name and on the attributes.
	life() (entry, attr time.Duration)
}

// blockSize is st_blksize of every file: what cp and cat read at a time.
const blockSize = 1 << 20

// own fills in what all attributes have in common.
func (t *tree) own(a *fuse.Attr, mode uint32, changed time.Time) {
	a.Mode, a.Nlink, a.Blksize = mode, 1, blockSize
	a.Uid, a.Gid = t.uid, t.gid
	if changed.IsZero() { // not known; the year 1 is no time to most programs
		changed = time.Unix(0, 0)
	}
	a.SetTimes(&changed, &changed, &changed)
}

// changed is the mtime of what tells about an image.
func (t *tree) changed(id string) func() time.Time {
	return func() time.Time {
		img, _ := t.catalog.Known(id)
		return changedAt(img)
	}
}

// changedAt is when an image was changed, or made where the service does not say.
func changedAt(img glanceapi.Image) time.Time {
	if img.UpdatedAt.IsZero() {
		return img.CreatedAt
	}
	return img.UpdatedAt
}

// sized fills in the size, and the bytes of it that this host holds.
func sized(a *fuse.Attr, size, held int64) {
	a.Size, a.Blocks = uint64(size), uint64(held+511)/512
}

var (
	_ = (gofs.NodeStatfser)((*node)(nil))
	_ = (gofs.NodeSetattrer)((*node)(nil))
	_ = (gofs.NodeSetxattrer)((*node)(nil))
	_ = (gofs.NodeRemovexattrer)((*node)(nil))
	_ = (gofs.NodeFsyncer)((*node)(nil))
)

// Statfs tells the space of the cache's file system, which is local: the
// service is not asked, because df must never wait for a network.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	var st unix.Statfs_t
	if err := unix.Statfs(n.t.cacheDir, &st); err != nil {
		return n.t.errno("statfs of the cache directory", err)
	}
	*out = fuse.StatfsOut{
		Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail, Files: st.Files, Ffree: st.Ffree,
		Bsize: uint32(st.Bsize), Frsize: uint32(st.Frsize), NameLen: nameMax,
	}
	return 0
}

// Setattr refuses: go-fuse's default reads as "not supported", which makes
// tools try other ways.
func (n *node) Setattr(context.Context, gofs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return n.t.errno("setattr", errReadOnly)
}

// Fsync has nothing to do: what can be read here is stored elsewhere.
func (n *node) Fsync(context.Context, gofs.FileHandle, uint32) syscall.Errno { return 0 }

// Setxattr refuses in the way that lets cp -p go on.
func (n *node) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return errnoUnsupported
}

// Removexattr refuses as Setxattr does.
func (n *node) Removexattr(context.Context, string) syscall.Errno { return errnoUnsupported }
