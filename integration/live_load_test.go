package integration

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A load is what uses a mount while its workers come and go. None of it may see an
// error or a wrong byte.
type load struct {
	t    *testing.T
	dir  string
	work sync.WaitGroup
	stop chan struct{}
	once sync.Once

	mu      sync.Mutex
	stalls  map[string]time.Duration // the longest that each thing took
	waits   []wait                   // those longer than tolerable, but for listings
	changes []time.Time              // of who serves the mount
	written map[string][]byte
	reads   int
}

func newLoad(t *testing.T, dir string) *load {
	return &load{t: t, dir: dir, stop: make(chan struct{}), stalls: make(map[string]time.Duration), written: make(map[string][]byte)}
}

// on runs do again and again until the end, or until it fails.
func (l *load) on(what string, do func(*rand.Rand) error) {
	l.work.Go(func() {
		random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			if err := do(random); err != nil {
				l.t.Errorf("%s: %v", what, err)
				return
			}
		}
	})
}

// end ends it all.
func (l *load) end() {
	l.once.Do(func() { close(l.stop) })
	l.work.Wait()
}

// patient is for system calls that Go's runtime interrupts.
func patient(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// reader reads an image that has to be as want, opening it now and then.
func (l *load) reader(id string, want []byte, flags int) {
	what := fmt.Sprintf("reading %s with flags %#x", id, flags)
	page := unix.Getpagesize()
	buf, err := unix.Mmap(-1, 0, 64*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		l.t.Fatal(err)
	}
	l.on(what, func(random *rand.Rand) error {
		var fd int
		err := l.timed("open "+id, func() (err error) {
			return patient(func() error {
				fd, err = unix.Open(filepath.Join(l.dir, "images", id, "data"), unix.O_RDONLY|flags, 0)
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		defer unix.Close(fd)
		for range 200 {
			off := random.IntN(len(want)/page-64) * page
			p := buf[:(1+random.IntN(64))*page]
			if flags&unix.O_DIRECT == 0 {
				unix.Fadvise(fd, int64(off), int64(len(p)), unix.FADV_DONTNEED)
			}
			err := l.timed(what, func() error {
				var n int
				err := patient(func() (err error) {
					n, err = unix.Pread(fd, p, int64(off))
					return err
				})
				if err == nil && n != len(p) {
					err = fmt.Errorf("%d of %d bytes", n, len(p))
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("at %d: %w", off, err)
			}
			if !bytes.Equal(p, want[off:off+len(p)]) {
				return fmt.Errorf("wrong bytes at %d", off)
			}
			time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
		}
		return nil
	})
}

// mapper has a process read an image through mappings. This one must not: its
// collector would wait for what waits for the image service, which is in it.
func (l *load) mapper(id, source string) {
	c, err := command(l.t.Context(), nil, "python3", "live_mapper.py", filepath.Join(l.dir, "images", id, "data"), source)
	if err != nil {
		l.t.Fatal(err)
	}
	in, err := c.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.work.Go(func() {
		<-l.stop
		in.Close()
		if err := c.Wait(); err != nil {
			l.t.Errorf("mapping %s: %v: %s", id, err, &complaints)
			return
		}
		var began, seconds float64
		if _, err := fmt.Sscan(out.String(), &began, &seconds); err != nil {
			l.t.Error(err)
		}
		l.took(wait{"a fault of " + id, time.UnixMicro(int64(began * 1e6)), time.Duration(seconds * float64(time.Second))})
	})
}

// writer makes images of a name and a number each.
func (l *load) writer(name string) {
	n := 0
	l.on("writing "+name, func(random *rand.Rand) error {
		n++
		path := filepath.Join(l.dir, "incoming", fmt.Sprintf("%s-%d", name, n))
		data := noise(path, 1<<20+random.IntN(1<<20))
		var f *os.File
		err := l.timed("create", func() (err error) {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			return err
		})
		if err != nil {
			return err
		}
		for off := 0; off < len(data); off += 64 << 10 {
			err := l.timed("write", func() error {
				_, err := f.Write(data[off:min(len(data), off+64<<10)])
				return err
			})
			if err != nil {
				f.Close()
				return fmt.Errorf("%s at %d: %w", path, off, err)
			}
			time.Sleep(time.Duration(random.IntN(5000)) * time.Microsecond)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		l.mu.Lock()
		l.written[filepath.Base(path)] = data
		l.mu.Unlock()
		return nil
	})
}

// listing is what may wait for the image service.
const listing = "a listing"

// lister looks at the tree.
func (l *load) lister(names map[string]string) {
	l.on("listing", func(*rand.Rand) error {
		var entries []os.DirEntry
		err := l.timed(listing, func() (err error) {
			entries, err = os.ReadDir(filepath.Join(l.dir, "images"))
			return err
		})
		if err != nil {
			return err
		}
		if len(entries) < len(names) {
			return fmt.Errorf("%d images", len(entries))
		}
		for name, id := range names {
			to, err := os.Readlink(filepath.Join(l.dir, "by-name", name))
			if err != nil || to != "../images/"+id {
				return fmt.Errorf("by-name/%s is %q, %w", name, to, err)
			}
			if _, err := os.ReadFile(filepath.Join(l.dir, "images", id, "meta.json")); err != nil && !errors.Is(err, syscall.ESTALE) {
				return err
			}
		}
		time.Sleep(10 * time.Millisecond)
		return nil
	})
}

// tools has programs compare an image, and make others, again and again.
func (l *load) tools(id, source string) {
	data := filepath.Join(l.dir, "images", id, "data")
	program := func(name string, args ...string) {
		l.on(name, func(*rand.Rand) error {
			_, err := try(nil, name, args...)
			return err
		})
	}
	program("qemu-img", "compare", "-f", "raw", "-F", "raw", source, data)
	program("qemu-img", "compare", "-T", "none", "-f", "raw", "-F", "raw", source, data)
	program("cmp", source, data)
	n := 0
	l.on("qemu-img convert", func(*rand.Rand) error {
		n++
		name := fmt.Sprint("converted-", n)
		image := filepath.Join(l.dir, "incoming", name)
		if _, err := try(nil, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, image); err != nil {
			return err
		}
		_, err := try(nil, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, image)
		return err
	})
}

// verifiable is an image that fio verifies, and the flags by which it does.
func verifiable(t *testing.T) (data []byte, flags []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fio.raw")
	flags = []string{"--name=verify", "--size=16M", "--bs=64k", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--randseed=1"}
	run(t, "fio", append(flags, "--filename="+file, "--rw=write", "--do_verify=0")...)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data, flags
}

// fio has it verify an image in different ways, again and again.
func (l *load) fio(id string, flags []string) {
	for _, way := range [][]string{{"--direct=0", "--invalidate=1"}, {"--direct=1"}, {"--ioengine=mmap"}} {
		args := append(append([]string{"--filename=" + filepath.Join(l.dir, "images", id, "data"), "--rw=read", "--readonly"}, flags...), way...)
		l.on("fio", func(*rand.Rand) error {
			_, err := try(nil, "fio", args...)
			return err
		})
	}
}
