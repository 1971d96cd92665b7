package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A disk that does not let the files of a blob be made does not keep anybody from
// reading it, and has it again once it does.
func TestFilesRefused(t *testing.T) {
	src := digested(3*ExtentSize + 5)
	s := open(t, 1<<30, time.Minute)
	if err := os.Rename(s.dir, s.dir+".away"); err != nil {
		t.Fatal(err)
	}
	b := blob(t, s, src)
	check(t, b, src, 0, b.Size())
	if data, ok := b.Complete(); ok {
		t.Errorf("%s is complete", data.Name())
	}
	rest(b)
	if err := os.Rename(s.dir+".away", s.dir); err != nil {
		t.Fatal(err)
	}
	check(t, b, src, 0, b.Size())
	if v := settle(t, b); v != Verified || b.Cached() != b.Size() {
		t.Errorf("verification %d, %d bytes cached", v, b.Cached())
	}
}

// Files that cannot be opened any more, of a blob that was here, take nothing with them
// but what is read meanwhile, not even for want of room: that would free nothing.
func TestFilesRefusedLater(t *testing.T) {
	src := digested(3*ExtentSize + 5)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	check(t, b, src, 0, b.Size())
	settle(t, b)
	rest(b)
	b.Close() // and with it the files
	if err := os.Rename(s.dir, s.dir+".away"); err != nil {
		t.Fatal(err)
	}
	b = blob(t, s, src)
	check(t, b, src, BlockSize, BlockSize)
	rest(b)
	evictAll(s)
	if err := os.Rename(s.dir+".away", s.dir); err != nil {
		t.Fatal(err)
	}
	clear(src.given)
	check(t, b, src, 0, b.Size())
	for off, n := range src.given {
		if n > 0 && int64(off)*BlockSize >= ExtentSize {
			t.Errorf("block %d was fetched %d times", off, n)
		}
	}
}

// A store that resumes goes on from memory where it cannot lock its directory, and leaves
// that alone from then on. What is in the place of what it had is refused.
func TestResumesWithoutDisk(t *testing.T) {
	src := digested(2 * ExtentSize)
	dir := t.TempDir()
	lock := filepath.Join(dir, lockFile)
	if err := unix.Mknod(lock, unix.S_IFSOCK|0o600, 0); err != nil { // which nobody can open
		t.Fatal(err)
	}
	c := Config{Dir: dir, Size: 1 << 30, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
	if _, err := Open(c); !errors.Is(err, syscall.ENXIO) {
		t.Fatal(err)
	}
	c.Resumes = true
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	b := blob(t, s, src)
	check(t, b, src, 0, b.Size())
	rest(b)
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	check(t, b, src, 0, b.Size())
	b.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if made, err := filepath.Glob(dir + "/blobs/*"); err != nil || len(made) > 0 {
		t.Errorf("%v is in a directory that was never locked, %v", made, err)
	}

	if err := os.Mkdir(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a directory for a lock: %v", err)
	}
	blobs := filepath.Join(dir, "blobs")
	if err := errors.Join(os.Remove(lock), os.Remove(blobs), os.Symlink(t.TempDir(), blobs)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c); err == nil {
		t.Error("a symbolic link is followed")
	}
}

// A directory that could not be locked may be another's: nothing in it makes way, and
// nothing is put there. A socket cannot be opened, like a lock on a disk that fails.
func TestResumesWithoutLock(t *testing.T) {
	dir, src := t.TempDir(), digested(2*ExtentSize)
	session(t, dir, src, func(_ *Store, b *Blob) {
		check(t, b, src, 0, b.Size())
		rest(b)
	})
	lock, half := filepath.Join(dir, lockFile), filepath.Join(dir, "blobs", "half"+dataSuffix)
	if err := errors.Join(os.WriteFile(half, nil, 0o600), os.Remove(lock), unix.Mknod(lock, unix.S_IFSOCK|0o600, 0)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Dir: dir, Resumes: true, Size: 1 << 30, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	evictAll(s)
	path, sums := draft(t, dir, src.data)
	if err := s.Adopt("another", src.digest, path, sums); !errors.Is(err, errNoDisk) {
		t.Errorf("adopted: %v", err)
	}
	for _, stays := range []string{half, path} {
		if _, err := os.Stat(stays); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(s.path("blob") + dataSuffix); err != nil || info.Size() != int64(len(src.data)) {
		t.Errorf("the file of a blob: %v, %v", info, err)
	}
}

// A small image is whole at each read of it, though the disk takes none of it: that it
// cannot be verified then is no line each in the log.
func TestRefusedIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	s := open(t, 1<<30, time.Minute)
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := os.Rename(s.dir, s.dir+".away"); err != nil {
		t.Fatal(err)
	}
	src := digested(2 * BlockSize)
	b := blob(t, s, src)
	for range 5 {
		check(t, b, src, 0, b.Size())
		rest(b)
		becomes(t, "it is not checked any more", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return !b.checking
		})
	}
	if err := b.NotVerified(); err == nil {
		t.Error("nothing is told of why it is not verified")
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// What the disk takes nothing of is not fetched to be verified, time and again, and why it
// is not verified is not taken for a word of its source.
func TestRefusedIsNotVerified(t *testing.T) {
	src := digested(3*ExtentSize + 5)
	s := open(t, 1<<30, time.Minute)
	if err := os.Rename(s.dir, s.dir+".away"); err != nil {
		t.Fatal(err)
	}
	b := blob(t, s, src)
	err := b.Verify(bound(t))
	if err == nil || !strings.Contains(err.Error(), "cache file: ") || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it ends with %v", err)
	}
	if n := src.opened(); n != 0 {
		t.Errorf("%d streams", n)
	}
	if err := os.Rename(s.dir+".away", s.dir); err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(bound(t)); err != nil {
		t.Error(err)
	}
}
