package fs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	iofs "io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"glancefs/cache"
	"glancefs/fs/ledger"
	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

// planted is the tree of a mount of s that nobody serves, with its cache in dir.
func planted(t *testing.T, s *glancetest.Server, dir string, size int64) *tree {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := cache.Open(cache.Config{Dir: dir, Size: size, Timeout: time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	m := &Mount{}
	if _, err := m.plant(ctx, Config{Service: client(t, s), Store: store, CacheDir: dir, Refresh: time.Minute, Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.tree.incoming.stop)
	return m.tree
}

// dataNode is the data of an image, as the kernel knows it until the test ends.
func dataNode(t *testing.T, tr *tree, image string) *imageData {
	d := &imageData{node: node{t: tr}, id: image}
	tr.data.Store(d.identity().number(), d)
	t.Cleanup(d.OnForget)
	return d
}

// bytesOf is n bytes none of which is 0.
func bytesOf(n int) []byte { return bytes.Repeat([]byte("image data "), n/11+1)[:n] }

// TestCachedAfterWaitInVain: where the kernel has read ahead in vain, the page that
// its reader wanted is given when it is here.
func TestCachedAfterWaitInVain(t *testing.T) {
	s := glancetest.New(t)
	data := bytesOf(2 * cache.BlockSize)
	d := dataNode(t, planted(t, s, t.TempDir(), 1<<30), s.Add(t, "disk", data))
	r := reader{context.Background(), os.Getpid()}
	page := make([]byte, 4096)
	if _, err := d.read(r, page, 0); err != nil {
		t.Fatal(err)
	}
	s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Status: http.StatusServiceUnavailable})
	if _, err := d.read(r, make([]byte, len(data)), 0); !errors.Is(err, cache.ErrTimeout) {
		t.Fatalf("read ahead: %v", err)
	}
	for _, pid := range []int{r.pid, os.Getppid()} {
		clear(page)
		if _, err := d.read(reader{r.Context, pid}, page, 0); err != nil || !bytes.Equal(page, data[:len(page)]) {
			t.Errorf("what is cached is not read: %v", err)
		}
	}
	if _, err := d.read(r, page, cache.BlockSize); !errors.Is(err, cache.ErrTimeout) {
		t.Errorf("what is not cached: %v", err)
	}
}

// TestReadWhileAdopted reads a draft by a file that is the cache's by now, and of
// which the cache has made a hole, as it does on a file system without leases.
func TestReadWhileAdopted(t *testing.T) {
	const extent = cache.ExtentSize
	s := glancetest.New(t)
	tr := planted(t, s, t.TempDir(), extent+1<<20)
	in, data := tr.incoming, bytesOf(extent+1)
	d, err := in.fill(s.AddQueued(t, "disk"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.openFile()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := &opening{draft: d, in: in, file: f, reads: true, writes: true}
	if _, errno := o.Write(t.Context(), data, 0); errno != 0 {
		t.Fatal(errno)
	}
	u, err := in.startFill(d, &upload{})
	in.mu.Lock() // which the draft needs to become the image
	if err != nil {
		t.Fatal(err)
	}
	for tr.store.Stats().Used < int64(len(data)) {
		time.Sleep(time.Millisecond)
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, extent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, cache.BlockSize)
	read := make(chan syscall.Errno)
	go func() {
		result, errno := o.Read(t.Context(), got, 0)
		if errno == 0 {
			got, _ = result.Bytes(got)
		}
		read <- errno
	}()
	select { // it may wait, or not
	case errno := <-read:
		go func() { read <- errno }()
	case <-time.After(100 * time.Millisecond):
	}
	in.mu.Unlock()
	if errno := <-read; errno != 0 || !bytes.Equal(got, data[:cache.BlockSize]) {
		t.Errorf("wrong bytes: %v", errno)
	}
	if err := u.wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLeftOutWhileOpened has several open the data of a queued image while others,
// who have written nothing, close it: what each has open is what is sent.
func TestLeftOutWhileOpened(t *testing.T) {
	s := glancetest.New(t)
	tr := planted(t, s, t.TempDir(), 1<<30)
	in, d := tr.incoming, dataNode(t, tr, s.AddQueued(t, "disk"))
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 1000 {
				h, _, errno := d.openQueued(t.Context(), syscall.O_WRONLY)
				if errno != 0 {
					t.Errorf("open: %v", errno)
					return
				}
				o := h.(*opening)
				if in.filler(d.id) != o.draft {
					t.Error("what is written is not sent")
				}
				o.Release(t.Context())
			}
		})
	}
	all.Wait()
	if d := in.filler(d.id); d != nil {
		t.Errorf("a draft that nobody has open and nobody has written: %+v", d)
	}
}

// TestFormerLeavesNode: who reads an image by way of the draft that it was takes
// nothing from who has the image itself open.
func TestFormerLeavesNode(t *testing.T) {
	s := glancetest.New(t)
	data := bytesOf(1000)
	tr := planted(t, s, t.TempDir(), 1<<30)
	d := dataNode(t, tr, s.Add(t, "disk", data))
	former := newDraft(tr.incoming.dir, "draft", about{})
	former.image = d.id
	o := &opening{draft: former, in: tr.incoming}
	got := make([]byte, 2000)
	result, errno := o.Read(t.Context(), got, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if got, _ := result.Bytes(got); !bytes.Equal(got, data) {
		t.Error("wrong bytes")
	}
	if tr.opened(d.identity().number()) != d {
		t.Error("the image's data is not found any more")
	}
}

// lineOf is what the process that follows finds of an image that tr has open.
func lineOf(t *testing.T, tr *tree, id string) *ledger.Line {
	t.Helper()
	img, err := tr.catalog.Image(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(img)
	if err != nil {
		t.Fatal(err)
	}
	return &ledger.Line{Kind: lineImage, Text: string(text)}
}

// TestRecalledPages: nobody knows whether what the kernel has kept for a process
// before did match.
func TestRecalledPages(t *testing.T) {
	s := glancetest.New(t)
	tr := planted(t, s, t.TempDir(), 1<<30)
	d := dataNode(t, tr, s.Add(t, "disk", bytesOf(1000)))
	if err := tr.recallImage(lineOf(t, tr, d.id)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint32{0, fuse.FOPEN_KEEP_CACHE, fuse.FOPEN_KEEP_CACHE} {
		if _, flags, errno := d.Open(t.Context(), syscall.O_RDONLY); errno != 0 || flags&fuse.FOPEN_KEEP_CACHE != want {
			t.Errorf("open %d: flags %#x, %v", i+1, flags, errno)
		}
	}
}

// TestRecalledIsInUse: what a process before had open is no leftover, which goes
// first, also when nobody has read it since.
func TestRecalledIsInUse(t *testing.T) {
	s, dir := glancetest.New(t), t.TempDir()
	const n = 1 << 20
	opened, left, next := s.Add(t, "open", bytesOf(n)), s.Add(t, "left", bytesOf(n)), s.Add(t, "next", bytesOf(n))
	before := planted(t, s, dir, 3*n)
	for _, id := range []string{opened, left} {
		d := dataNode(t, before, id)
		if _, err := d.read(readerOf(t.Context()), make([]byte, n), 0); err != nil {
			t.Fatal(err)
		}
		d.OnForget()
	}
	before.store.Close()
	tr := planted(t, s, dir, 2*n)
	d := dataNode(t, tr, opened)
	if err := tr.recallImage(lineOf(t, tr, opened)); err != nil {
		t.Fatal(err)
	}
	tr.reopenAll(t.Context(), []*imageData{d})
	if err := client(t, s).Delete(t.Context(), opened); err != nil {
		t.Fatal(err)
	}
	tr.catalog.Deleted(opened)
	if _, err := dataNode(t, tr, next).read(readerOf(t.Context()), make([]byte, n), 0); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	if m, err := d.read(readerOf(t.Context()), got, 0); m != n || err != nil && err != io.EOF || !bytes.Equal(got, bytesOf(n)) {
		t.Errorf("what is open was not kept: %d bytes, %v", m, err)
	}
}

// TestDeletedElsewhere: an image that the service turns out not to have when its data
// is read is gone at the next look, however fresh the listing is that still has it, and
// whatever else was asked for.
func TestDeletedElsewhere(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "disk", bytesOf(1000))
	tr := planted(t, s, t.TempDir(), 1<<30)
	if _, err := tr.catalog.ByName(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"a", "b", "c"} {
		_, _ = tr.catalog.Image(t.Context(), other)
	}
	if err := client(t, s).Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, errno := dataNode(t, tr, id).Read(t.Context(), nil, make([]byte, 10), 0); errno != syscall.ENODATA {
		t.Errorf("read: %v", errno)
	}
	if _, err := tr.catalog.Image(t.Context(), id); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("then: %v", err)
	}
	if names, err := tr.catalog.ByName(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("still listed: %v, %v", names, err)
	}
}

// TestNoSize: an image of which the service does not say how long it is does not read
// as an empty one.
func TestNoSize(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "disk", bytesOf(1000))
	tr := planted(t, s, t.TempDir(), 1<<30)
	img, err := tr.catalog.Image(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	img.Size = glanceapi.UnknownSize
	tr.catalog.Made(img)
	d := dataNode(t, tr, id)
	if _, _, errno := d.Open(t.Context(), syscall.O_RDONLY); errno != syscall.EIO {
		t.Errorf("open: %v", errno)
	}
	if f := tr.lastError.Load(); f == nil || !strings.Contains(f.reason, "how many bytes") {
		t.Errorf("last error: %+v", f)
	}
}
