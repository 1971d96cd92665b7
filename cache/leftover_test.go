package cache

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A blob whose files cannot be opened for the moment keeps its bytes, and these
// count.
func TestUnopenedKeepsItsBytes(t *testing.T) {
	dir, src := t.TempDir(), digested(2*ExtentSize)
	session(t, dir, src, func(_ *Store, b *Blob) { check(t, b, src, 0, b.Size()) })
	s := openIn(t, dir, 1<<30, time.Minute)
	defer s.Close()
	used := s.Stats().Used
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	b, err := s.Blob("blob", int64(len(src.data)), src.digest, src)
	if e := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); e != nil {
		t.Fatal(e)
	}
	if err == nil {
		b.Close()
		t.Fatal("a blob is opened without descriptors")
	}
	if n := s.Stats().Used; n != used {
		t.Errorf("%d bytes used, %d before", n, used)
	}
	src.opens = 0
	check(t, blob(t, s, src), src, 0, int64(len(src.data)))
	if n := src.opened(); n != 0 {
		t.Errorf("%d streams", n)
	}
	if n := s.Stats().Used; n != int64(len(src.data)) {
		t.Errorf("%d bytes used of %d", n, int64(len(src.data)))
	}
}

// TestLeftoverIsGone: of what is evicted nothing counts any more, also where the file
// system tells of blocks that an empty file has, as ext4 does of one with attributes.
func TestLeftoverIsGone(t *testing.T) {
	dir, src := t.TempDir(), digested(BlockSize)
	session(t, dir, src, func(_ *Store, b *Blob) { check(t, b, src, 0, b.Size()) })
	all, err := filepath.Glob(filepath.Join(dir, "blobs", "*"+dataSuffix))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(all, empty) {
		if err := unix.Setxattr(path, "user.some", make([]byte, 2000), 0); err != nil {
			t.Skip("no attributes here:", err)
		}
	}
	if info, err := os.Stat(empty); err != nil || info.Sys().(*syscall.Stat_t).Blocks == 0 {
		t.Skip("an empty file has no blocks here:", err)
	}
	s := openIn(t, dir, 1<<30, time.Minute)
	defer s.Close()
	evictAll(s)
	if st := s.Stats(); st.Used != 0 || st.Blobs != 0 {
		t.Errorf("%d bytes used by %d images", st.Used, st.Blobs)
	}
}
