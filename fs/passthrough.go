package fs

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// passthrough serves the tree and, of image data that is whole and verified,
// hands the kernel the cache file itself, which it then reads without asking
// us: at the speed of that file, and even when we have died.
//
// An inode cannot be open in both ways at once: the kernel answers EIO. So the
// first open decides, and the others follow until the last one is closed. The
// kernel forgets an open before it tells us, so what we believe to be open may
// not be; following it is right all the same.
//
// go-fuse could do this by itself for files with handles. Image data has none,
// so that whoever serves the mount next can go on with it.
type passthrough struct {
	fuse.RawFileSystem
	tree  *tree
	log   *slog.Logger
	opens *prometheus.CounterVec // by who reads

	mu      sync.Mutex
	kernel  backer // nil before the mount, and where the kernel cannot do it
	refused bool   // the kernel has refused a file; it is not asked again
	open    map[uint64]*openData
}

// backer is what registers files with the kernel. Both calls are ioctls that
// touch no file of the mount, so they may be made under a lock.
type backer interface {
	RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno)
	UnregisterBackingFd(int32) syscall.Errno
}

// openData is one inode's opens, and the way they read.
type openData struct {
	data    *imageData
	opens   int
	backing int32 // id of the registered file; 0 when we are asked for each read
	lost    bool  // the cache does not have that file open
}

func newPassthrough(raw fuse.RawFileSystem, t *tree, log *slog.Logger) *passthrough {
	p := &passthrough{RawFileSystem: raw, tree: t, log: log, open: make(map[uint64]*openData), refused: !mayAdmin()}
	p.opens = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "glancefs_data_opens_total", Help: "Image data opened, by who reads it from then on: the kernel (passthrough) or glancefs.",
	}, []string{"reader"})
	t.metrics.MustRegister(p.opens)
	return p
}

// Init learns whether files can be registered at all.
func (p *passthrough) Init(s *fuse.Server) {
	if s.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH != 0 {
		p.mu.Lock()
		p.kernel = s
		p.mu.Unlock()
	}
	p.RawFileSystem.Init(s)
}

// Open opens a file and decides how it is read.
func (p *passthrough) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if st := p.RawFileSystem.Open(cancel, in, out); !st.Ok() {
		return st
	}
	data := p.tree.opened(in.NodeId)
	if data == nil {
		return fuse.OK
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.open[in.NodeId]
	if o == nil {
		data.use(true)
		o = &openData{data: data, backing: p.register(data)}
		p.open[in.NodeId] = o
	}
	o.opens++
	if o.backing == 0 {
		p.opens.WithLabelValues("glancefs").Inc()
	} else {
		p.opens.WithLabelValues("kernel").Inc()
		out.BackingID = o.backing
		out.OpenFlags = out.OpenFlags&^fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_PASSTHROUGH
	}
	return fuse.OK
}

// register gives the kernel the file behind data, if it is whole and verified.
// Called with mu held.
func (p *passthrough) register(data *imageData) int32 {
	if p.kernel == nil || p.refused {
		return 0
	}
	file, ok := data.complete()
	if !ok {
		return 0
	}
	id, err := p.registerFile(file)
	if err != nil {
		// No privilege, or a cache on a file system that is stacked itself.
		p.log.Info("complete images are read without passthrough", "err", err)
		p.refused = true
		data.incomplete()
		return 0
	}
	return id
}

// registerFile gives the kernel a descriptor of its own of a file, that can only
// read, and does not make each read look at the file's atime. Called with mu
// held.
func (p *passthrough) registerFile(file *os.File) (id int32, err error) {
	backing, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), os.O_RDONLY|unix.O_NOATIME, 0)
	if err != nil {
		return 0, err
	}
	defer backing.Close() // the kernel keeps what it needs
	id, errno := p.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(backing.Fd())})
	if errno != 0 {
		return 0, errno
	}
	return id, nil
}

// recall takes in an open of the process before: the inode goes on in the way that
// the kernel has it. Of a file that it registered it left the number, which is the
// mount's and not the process's, and which alone the kernel takes for the inode
// until it is closed: the same file under another number it does not.
func (p *passthrough) recall(node uint64, data *imageData, backing int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.open[node]
	if o == nil {
		data.use(true)
		o = &openData{data: data, backing: backing}
		p.open[node] = o
		if backing != 0 {
			if err := data.keep(p.log); err != nil {
				o.lost = true
				p.log.Error("the cache file of an image that the kernel reads by itself cannot be kept", "image", data.id, "err", err)
			}
		}
	}
	o.opens++
}

// all returns the image data that is open.
func (p *passthrough) all() (open []*imageData) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.open {
		open = append(open, o.data)
	}
	return open
}

// keep is complete for a file that the kernel reads already.
func (d *imageData) keep(log *slog.Logger) error {
	blob, err := d.reopen()
	if err != nil {
		return err
	}
	if blob == nil {
		return errLost
	}
	if _, ok := blob.Complete(); ok {
		return nil
	}
	log.Error("an image that the kernel reads by itself is not in the cache as it was", "image", d.id)
	return blob.Hold()
}

// tidy gives back what the process before registered and has left no trace of. The
// kernel counts the numbers up.
func (p *passthrough) tidy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil {
		return
	}
	null, err := os.Open("/proc/self/exe")
	if err != nil {
		return
	}
	defer null.Close()
	last, err := p.registerFile(null)
	if err != nil {
		return
	}
	used := make(map[int32]bool)
	for _, o := range p.open {
		used[o.backing] = true
	}
	for id := last; id > max(0, last-maxUntidy); id-- {
		if !used[id] {
			p.kernel.UnregisterBackingFd(id) // there is none, mostly
		}
	}
}

// maxUntidy is how far back tidy looks.
const maxUntidy = 1 << 12

// Release notes that a file has been closed. After the last close of an inode
// the next open decides anew.
func (p *passthrough) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	p.RawFileSystem.Release(cancel, in)
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.open[in.NodeId]
	if o == nil {
		return
	}
	if o.opens--; o.opens > 0 {
		return
	}
	delete(p.open, in.NodeId)
	if o.backing != 0 {
		if errno := p.kernel.UnregisterBackingFd(o.backing); errno != 0 {
			p.log.Warn("backing file not given back", "err", errno)
		}
		if !o.lost {
			o.data.incomplete()
		}
	}
	o.data.use(false)
}

// complete returns the cache file of image data that is whole and verified,
// and keeps it so until incomplete.
func (d *imageData) complete() (*os.File, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blob == nil {
		return nil, false
	}
	return d.blob.Complete()
}

// incomplete undoes complete.
func (d *imageData) incomplete() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blob != nil {
		d.blob.Release()
	}
}
