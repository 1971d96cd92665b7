package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/cache"
	"glancefs/fs/catalog"
	"glancefs/fs/herald"
	"glancefs/fs/mounts"
	"glancefs/glanceapi"
)

const (
	// maxRequest is the largest READ, in bytes: what the kernel allows by its
	// default limit of 256 pages.
	maxRequest = 1 << 20
	// background is how many requests the kernel sends that nobody waits for
	// by name: all reads through the page cache are such. Those that wait for a
	// service which does not answer must not keep the others from what is
	// cached, so it is more than the readers of a host have under way.
	background = 512
	// inflight bounds the memory of requests as they come in, in bytes. Answers
	// are bounded by the kernel: it has so many READs under way at a time.
	inflight = 128 << 20
	// readAhead is how far the kernel reads ahead, in KiB: one block of the
	// cache. It cannot know what it costs to fetch what nobody reads; the cache
	// does, and fetches ahead by itself. With 16 MiB a boot fetches four times
	// what it reads, with the kernel's default of 128 KiB a quarter more than
	// with this, and a sequential reader is not faster with either.
	readAhead = 64
)

// Config is what a mount is made of.
type Config struct {
	Service     service
	Source      string // what mount(8) lists as mounted there
	Version     string // of glancefs
	Store       *cache.Store
	CacheDir    string        // of Store; statfs tells its space
	Refresh     time.Duration // how stale a listing may be
	UID, GID    uint32        // who owns the files
	AllowOther  bool          // other users may use the mount
	ReadOnly    bool
	AllowDelete bool           // images and members may be removed
	Strict      bool           // no byte of an image is readable before all of it is verified
	Account     string         // whose view of which service this is, for State
	State       *catalog.State // what an earlier mount of the account knew, or nil
	Kept        *Kept          // nil for a mount that ends with this process
	Upkeep      Upkeep         // what is told until SetUpkeep
	Log         *slog.Logger
}

// A Mount is a mounted tree.
type Mount struct {
	dir     string
	device  string   // "" if it was not found
	end     *os.File // the kernel's, of the mount
	server  *fuse.Server
	kept    *Kept
	metered *metered
	handles *lasting
	tree    *tree
	cancel  context.CancelFunc
	work    sync.WaitGroup // what the mount does besides serving
	log     *slog.Logger
}

// New mounts the tree at dir, which must be an empty directory. When it
// returns the mount can be used.
func New(dir string, c Config) (*Mount, error) {
	if c.Kept == nil {
		if err := mounts.CheckFree(dir); err != nil {
			return nil, err
		}
	}
	if c.AllowOther {
		if err := checkAllowOther(); err != nil {
			return nil, err
		}
	}
	if resolved, err := mounts.Resolve(dir); err == nil {
		dir = resolved
	} else if c.Kept == nil { // else it has been mounted, wherever that is by now
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Mount{dir: dir, kept: c.Kept, cancel: cancel, log: c.Log}
	left, err := m.plant(ctx, c)
	if err != nil {
		cancel()
		return nil, err
	}
	if err := m.attach(ctx, c, left); err != nil {
		cancel()
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	t := m.tree
	m.work.Go(func() { t.keepState(ctx, c.Account) })
	m.work.Go(func() { t.notify(ctx, herald.Start(m.end, m.device, m.Lasting(), m.log)) })
	if left != nil {
		return m, nil
	}
	if lacks := lacks(dir); len(lacks) > 0 {
		c.Log.Info("the mount goes without what takes more privileges", "lacks", strings.Join(lacks, "; "))
	}
	return m, nil
}

// plant makes the tree, of what the process before has left if there was one.
func (m *Mount) plant(ctx context.Context, c Config) (left *legacy, err error) {
	t := &tree{
		service: c.Service, refresh: c.Refresh,
		store: c.Store, cacheDir: c.CacheDir,
		uid: c.UID, gid: c.GID, strict: c.Strict, allowDelete: c.AllowDelete, log: c.Log, started: time.Now(),
		notices: make(chan notice, maxNotices), doubts: make(chan uint64, maxNotices),
	}
	t.catalog = catalog.New(ctx, catalog.Config{
		Service: c.Service, Refresh: c.Refresh, Log: c.Log,
		Gone: func(img glanceapi.Image) { t.store.Doom(t.blobKey(img)) }, Left: hasLeft,
	})
	m.tree = t
	m.SetUpkeep(c.Upkeep)
	if c.Kept != nil {
		if t.ledger, left, err = c.Kept.inherit(); err != nil {
			return nil, err
		}
		t.nodes.ledger = t.ledger
	}
	if left != nil {
		t.started = left.session.Started
	}
	t.incoming, err = newIncoming(t, filepath.Join(c.CacheDir, "drafts"))
	if failed := syscall.Errno(0); left != nil && errors.As(err, &failed) {
		c.Log.Error("the disk of the drafts fails; the mount goes on without them", "err", err)
	} else if err != nil {
		return nil, fmt.Errorf("drafts: %w", err)
	}
	t.edits.scratch.serial = uint64(time.Now().UnixNano()) // no other process has had these
	t.metrics = newMetrics(t, c.Version)
	if c.State != nil {
		t.catalog.Restore(c.State, left != nil)
	}
	t.store.OnMismatch(t.wrong)
	return left, nil
}

// attach begins to serve the tree to the kernel.
func (m *Mount) attach(ctx context.Context, c Config, left *legacy) (err error) {
	t, o := m.tree, options(c, newPanics(m).answer)
	bridge := gofs.NewNodeFS(recaller{t.root()}, o)
	p := newPassthrough(bridge, t, c.Log)
	l := newLasting(p, t)
	m.metered, m.handles = newMetered(l, t.metrics), l
	before, err := kernelEnds()
	if err != nil {
		return err
	}
	switch {
	case left != nil:
		m.device = left.session.Device
		m.server, err = succeed(m.metered, c.Kept.Device, left.session.Init, o.MountOptions)
		if err == nil {
			t.takeOver(left, bridge, p, l)
			p.tidy()
			err = resend(c.Kept.Device)
		}
	case c.Kept != nil:
		m.server, err = attach(m.metered, c.Kept.Device, o.MountOptions)
		if err == nil {
			m.find()
			err = t.begin(m.server.KernelSettings(), m.device)
		}
	default:
		m.server, err = fuse.NewServer(m.metered, m.dir, &o.MountOptions)
		m.find()
	}
	if err == nil {
		err = errors.Join(resident(m.server), m.takeEnd(before))
	}
	if err == nil && !c.ReadOnly {
		t.incoming.resume() // before somebody closes a draft again
	}
	var old []uint64
	if left != nil {
		old = t.nodes.all("")
	}
	if m.server != nil {
		go m.server.Serve()
	}
	if err == nil {
		err = m.server.WaitMount()
	}
	if err != nil && m.server != nil && c.Kept == nil {
		err = errors.Join(err, mounts.Detach(m.dir))
	}
	if err == nil && left != nil {
		m.work.Go(func() { t.reopenAll(ctx, p.all()) })
	}
	if err == nil && c.Kept != nil {
		m.work.Go(func() { t.settleNodes(ctx, l, m.server, old) })
	}
	return err
}

// Lasting reports whether another process could serve the mount when this one has
// died.
func (m *Mount) Lasting() bool { return m.kept != nil && isLasting(m.server.KernelSettings()) }

func options(c Config, panicked func(any) fuse.Status) *gofs.Options {
	logger := slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)
	o := &gofs.Options{
		Logger:         logger,
		RootStableAttr: &gofs.StableAttr{Ino: fuse.FUSE_ROOT_ID},
		ExternalNodeID: true,
		MountOptions: fuse.MountOptions{
			FsName: c.Source, Name: "glancefs",
			DirectMount: true, AllowOther: c.AllowOther, Options: []string{"default_permissions"},
			MaxWrite: maxRequest, MaxBackground: background, MaxInflightRequestBytes: inflight,
			// With replies of 1 MiB splice does not fit the largest pipe and
			// falls back, noisily, each time.
			DisableSplice:        true,
			EnableSymlinkCaching: true,
			// Or each read of image data would ask for its attributes first.
			ExplicitDataCacheControl: true,
			ExtraCapabilities:        fuse.CAP_HANDLE_KILLPRIV_V2,
			Logger:                   logger,
			PanicHandler:             panicked,
		},
	}
	if c.ReadOnly {
		o.Options = append(o.Options, "ro")
	}
	return o
}

// MaxRead is the longest READ, in bytes, which mount(2) has to be told.
func MaxRead() int { return maxRequest }
