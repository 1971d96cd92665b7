package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"glancefs/glanceapi/glancetest"
)

// verified waits until glancefs has verified an image, and returns what it
// says of it.
func verified(tb testing.TB, data string) (verdict string) {
	tb.Helper()
	err := eventually(data+" to be verified", func() (bool, error) {
		out, err := try(nil, "getfattr", "--absolute-names", "--only-values", "-n", "user.glancefs.verified", data)
		verdict = string(out)
		return verdict == "yes" || verdict == "no", err
	})
	if err != nil {
		tb.Error(err)
	}
	return verdict
}

// passes reports whether reads of data go past glancefs: it counts the bytes
// it gives to readers.
func passes(tb testing.TB, m *Mount, data string) bool {
	tb.Helper()
	before := m.Stats(tb, "glancefs_read_bytes_total")
	run(tb, "dd", "if="+data, "of=/dev/null", "bs=64K", "iflag=direct", "status=none")
	return m.Stats(tb, "glancefs_read_bytes_total") == before
}

// TestCacheOutlives reads an image, and reads it again after the mount ended in
// different ways: no data is asked for any more.
func TestCacheOutlives(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 50<<20+17)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	for _, end := range []string{"SIGTERM", "SIGKILL", "umount"} {
		s.Reset()
		switch end {
		case "SIGTERM":
			m.Stop(t)
		case "SIGKILL":
			m.Kill9(t)
			run(t, "glancefs", "umount", m.Dir)
		case "umount":
			run(t, "glancefs", "umount", m.Dir)
			if err := m.wait(); err != nil {
				t.Error(err)
			}
		}
		m.Again(t)
		sha512sum(t, file, data)
		if n := s.DataRequests(); n != 0 {
			t.Errorf("after %s: %d data requests", end, n)
		}
	}
	if v := verified(t, file); v != "yes" {
		t.Errorf("verified: %q", v)
	}
	if !passes(t, m, file) {
		t.Error("a verified image is not read by passthrough")
	}
}

// TestSpoiledCache flips a byte of each cache file between two mounts.
func TestSpoiledCache(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 5<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	verified(t, file)
	blobs := filepath.Join(filepath.Dir(m.Dir), "cache", "blobs")
	for _, off := range []int64{0, 70_000, 4096 + 8*3, 5<<20 - 1} {
		files, err := filepath.Glob(blobs + "/*")
		if err != nil || len(files) != 2 {
			t.Fatal(files, err)
		}
		for _, path := range files {
			m.Stop(t)
			flip(t, path, off)
			m.Again(t)
			sha512sum(t, file, data)
			if v := verified(t, file); v != "yes" {
				t.Errorf("verified: %q", v)
			}
		}
	}
}

// flip inverts the byte of a file at off, if there is one.
func flip(tb testing.TB, path string, off int64) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err == io.EOF {
		return
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], off); err != nil {
		tb.Fatal(err)
	}
}

// TestPassthroughOutlives: a file opened by passthrough is read on after the
// process has been killed.
func TestPassthroughOutlives(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 8<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	if v := verified(t, file); v != "yes" {
		t.Fatalf("verified: %q", v)
	}
	fifo := pipe(t)
	reader, out := piped(t, "sh", "-c", `exec <"$1"; echo; read x <"$2"; cat`, "sh", file, fifo)
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil { // it has the file open
		t.Fatal(err)
	}
	m.Kill9(t)
	if err := os.WriteFile(fifo, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d were read after the death of glancefs (%v)", len(got), len(data), err)
	}
	if err := reader.Wait(); err != nil {
		t.Error(err)
	}
	run(t, "glancefs", "umount", m.Dir)
	m.Again(t)
	sha512sum(t, file, data)
}

// pipe makes a named pipe.
func pipe(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(scratch(), "pipe")
	if err != nil {
		tb.Fatal(err)
	}
	run(tb, "mkfifo", dir+"/go")
	return dir + "/go"
}

// TestModesMix opens an image before and after it is complete, in every order
// and in several processes; the kernel would answer EIO if one inode were open
// in two ways.
func TestModesMix(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 4<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	out := run(t, "sh", "-c", `
		exec 3<"$1"; head -c 4096 <&3 >/dev/null
		cat "$1" >/dev/null
		until [ "$(getfattr --absolute-names --only-values -n user.glancefs.verified "$1")" = yes ]; do sleep 0.1; done
		for i in 1 2 3 4; do sha512sum <"$1" & done; wait
		exec 3<&-
		exec 4<"$1" 5<"$1"; sha512sum <&4; exec 4<&-
		sha512sum <"$1"; dd if="$1" bs=1M iflag=direct status=none | sha512sum; sha512sum <&5`, "sh", file)
	sums := strings.Fields(strings.ReplaceAll(string(out), "-", ""))
	if len(sums) != 8 {
		t.Fatalf("%d sums: %q", len(sums), out)
	}
	for _, sum := range sums {
		if sum != sums[0] {
			t.Error("readers differ")
		}
	}
	sha512sum(t, file, data)
	if !passes(t, m, file) {
		t.Error("not by passthrough after all were closed")
	}
}

// TestDraftBesideOpens has an image opened and closed all the time while who made it
// reads on from the file that it was made of.
func TestDraftBesideOpens(t *testing.T) {
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	data := noise(t.Name(), 1<<20)
	draft, err := os.OpenFile(filepath.Join(m.Dir, "incoming", "disk"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer draft.Close()
	if _, err := draft.Write(data); err != nil {
		t.Fatal(err)
	}
	if copied, err := syscall.Dup(int(draft.Fd())); err != nil || syscall.Close(copied) != nil {
		t.Fatal(err)
	}
	file := filepath.Join(m.Dir, "images", images(t, s, "disk")[0].ID, "data")
	if v := verified(t, file); v != "yes" {
		t.Fatalf("verified: %q", v)
	}
	opened, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		for got := make([]byte, 4096); ; {
			select {
			case <-opened:
				return
			default:
			}
			// Past the page cache, so that each read is one of the mount's.
			if err := unix.Fadvise(int(draft.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
				t.Error(err)
			}
			if _, err := draft.ReadAt(got, 0); err != nil || !bytes.Equal(got, data[:len(got)]) {
				t.Errorf("the file it was made of: %v", err)
			}
		}
	}()
	var opens sync.WaitGroup
	for range 4 {
		opens.Go(func() {
			for i := range 2000 {
				if _, err := os.ReadFile(file); err != nil {
					t.Errorf("the image, opened for the %dth time: %v", i, err)
					return
				}
			}
		})
	}
	opens.Wait()
	close(opened)
	<-read
}

// TestSmallDisk reads an image that is larger than the cache, and than its file
// system.
func TestSmallDisk(t *testing.T) {
	for name, c := range map[string]struct {
		flag string
		most int64
	}{"budget": {"4MiB", 4<<20 + 8*4<<20}, "full disk": {"1GiB", 96 << 20}} {
		t.Run(name, func(t *testing.T) {
			s := glancetest.New(t)
			data := noise(t.Name(), 200<<20)
			id := s.Add(t, "disk", data)
			dir, err := os.MkdirTemp(scratch(), "tmpfs")
			if err != nil {
				t.Fatal(err)
			}
			run(t, "mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", dir)
			t.Cleanup(func() { try(nil, "umount", "-l", dir) })
			m := mount(t, "--endpoint", s.URL, "--cache-dir", dir, "--cache-size", c.flag)
			file := filepath.Join(m.Dir, "images", id, "data")
			for range 2 {
				sha512sum(t, file, data)
			}
			for i := range 40 {
				sameAt(t, file, data, i*7919*613%(len(data)-1<<20), 300_000)
			}
			used := strings.Fields(string(run(t, "df", "--output=used", "-B1", dir)))[1]
			if len(used) > len(fmt.Sprint(c.most)) || len(used) == len(fmt.Sprint(c.most)) && used > fmt.Sprint(c.most) {
				t.Errorf("%s bytes used, want at most %d", used, c.most)
			}
		})
	}
}
