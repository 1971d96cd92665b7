package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The names of a blob's two files are the hash of its key, because keys hold
// any byte, and these.
const (
	dataSuffix  = ".data"
	indexSuffix = ".index"
)

// path is where the files of key lie, but for the suffix.
func (s *Store) path(key Key) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:]))
}

// grab makes sure that b has its files, until letGo.
func (b *Blob) grab() error {
	s := b.store
	s.mu.Lock()
	if b.refused != nil && b.busy == 0 {
		b.closeFiles() // the disk may take them by now
	}
	if b.data != nil {
		b.busy++
		s.files.Get(b)
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return b.open()
}

// letGo undoes grab.
func (b *Blob) letGo() {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.busy--
}

// open is grab for a blob without files. The first time it reads the index.
func (b *Blob) open() error {
	b.opening.Lock()
	defer b.opening.Unlock()
	s := b.store
	s.mu.Lock()
	there, loaded := b.data != nil, b.loaded
	if there {
		b.busy++
	}
	closed := s.ctx.Err() != nil
	s.mu.Unlock()
	if there {
		return nil
	}
	if closed {
		return ErrClosed
	}
	f, err := b.openFiles(loaded)
	if err != nil {
		return fmt.Errorf("cache file: %w", err)
	}
	s.mu.Lock()
	b.files = f
	b.busy++
	s.files.Add(b, struct{}{})
	s.spareFiles()
	if f.refused != nil {
		s.complain("cache disk does not take data; reads go on from memory", f.refused)
	} else if !loaded {
		b.consider()
	}
	s.mu.Unlock()
	return nil
}

// openFiles opens the files of b and takes in what they hold, unless that is loaded.
// Where the disk does not let it make or change them, they are read; and where it has
// none of b, there are none: reads then go on from memory.
func (b *Blob) openFiles(loaded bool) (files, error) {
	path := b.store.path(b.key)
	left := b.store.claim(filepath.Base(path))
	f, refused, err := files{}, errNoDisk, errNoDisk
	if b.store.lock != nil {
		f, refused = b.openAs(path+dataSuffix, path+indexSuffix, os.O_RDWR, loaded)
		if errors.Is(refused, fs.ErrNotExist) || errors.Is(refused, errIndex) {
			f, refused = b.makeFiles(path+dataSuffix, path+indexSuffix)
		}
		if refused == nil {
			return f, nil
		}
		f, err = b.openAs(path+dataSuffix, path+indexSuffix, os.O_RDONLY, loaded)
	}
	if err != nil {
		b.store.unclaim(left, b)
		if f, err = b.openAs(os.DevNull, os.DevNull, os.O_RDONLY, true); err != nil {
			return files{}, refused
		}
		f.loaded = loaded
	}
	// As what it says alone: that a file is not there, or not allowed, is not of the blob.
	f.refused = fmt.Errorf("cache file: %v", refused)
	return f, nil
}

// errNoDisk is of a store whose directory could not be locked, so that it may by now be
// another's.
var errNoDisk = errors.New("the cache directory could not be locked when the store was opened")

// openAs is openFiles for files at these paths.
func (b *Blob) openAs(data, index string, flag int, loaded bool) (f files, err error) {
	if f.data, err = os.OpenFile(data, flag, 0o600); err != nil {
		return files{}, err
	}
	if f.index, err = os.OpenFile(index, flag, 0o600); err == nil && !loaded {
		err = b.load(f.data, f.index)
	}
	if err != nil {
		f.data.Close()
		f.index.Close()
		return files{}, err
	}
	f.loaded = true
	return f, nil
}

// spareFiles closes the files of the blobs that have not been read for
// longest, down to the store's limit of open ones. Called with mu held.
func (s *Store) spareFiles() {
	for tries := s.files.Len(); tries > 0 && s.files.Len() > s.maxOpen; tries-- {
		b, _, _ := s.files.GetOldest()
		if b.busy > 0 {
			s.files.Get(b)
			continue
		}
		b.closeFiles()
	}
}

// maxOpen is how many blobs may have their files open when nobody reads them:
// enough for any number of VMs, and never more than a quarter of what the
// process may open, with two files a blob.
func maxOpen() int {
	most := 256
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err == nil && l.Cur/8 < uint64(most) {
		most = int(l.Cur / 8)
	}
	return max(1, most)
}

// load takes in what the files of b hold. It fails with errIndex for files that are not
// of this blob, or of which that cannot be told.
func (b *Blob) load(data, index *os.File) error {
	h, err := readHeader(index)
	if err == nil && h != b.header {
		err = errIndex
	}
	if err != nil {
		return err
	}
	info, err := data.Stat()
	if err != nil {
		return err
	}
	s := b.store
	err = readRecords(index, h, func(blocks []found) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range blocks {
			if f.block*BlockSize < info.Size() {
				b.arrive(f.block*BlockSize, f.sum)
			}
		}
	})
	if err != nil {
		return err
	}
	st, err := b.stampOf(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && b.cached == b.size && stamped(index, st) {
		b.decide(Verified)
	}
	return nil
}

// makeFiles makes the files of b. Those that are there are not of it, and are removed rather
// than emptied: the kernel may still read them for who has had them open since before
// this store.
func (b *Blob) makeFiles(data, index string) (f files, err error) {
	head, err := b.header.encode()
	for _, path := range []string{data, index} {
		if err == nil {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return files{}, err
	}
	if f, err = b.openAs(data, index, os.O_CREATE|os.O_EXCL|os.O_RDWR, true); err != nil {
		return files{}, err
	}
	if _, err = f.index.WriteAt(head, 0); err != nil {
		f.data.Close()
		f.index.Close()
		return files{}, err
	}
	return f, nil
}

// closeFiles gives the descriptors back. The index gets the time, by which a
// later store tells what was used last. Called with mu held.
func (b *Blob) closeFiles() {
	if b.data != nil {
		if now := unix.NsecToTimeval(time.Now().UnixNano()); b.refused == nil {
			_ = unix.Futimes(int(b.index.Fd()), []unix.Timeval{now, now}) // a worse guess, no more
		}
		b.data.Close()
		b.index.Close()
		b.data, b.index, b.refused = nil, nil, nil
		b.store.files.Remove(b)
	}
}

// drop counts one user of b less. A blob nobody uses keeps its blocks, but not
// its descriptors; one without any block leaves nothing behind. Called with mu
// held.
func (b *Blob) drop() {
	if b.users--; b.users > 0 {
		return
	}
	b.closeFiles()
	if b.cached == 0 && b.store.ctx.Err() == nil { // else Close sees to it, while it has the directory
		b.store.forget(b)
	}
}

// forget removes a blob that has neither users nor blocks. The files of one that
// could not be loaded are a leftover again, and stay. Called with mu held.
func (s *Store) forget(b *Blob) {
	delete(s.blobs, b.key)
	path := s.path(b.key)
	if s.left.named[filepath.Base(path)] == nil && s.lock != nil {
		s.remove(path)
	}
}

// remove removes the files of a blob.
func (s *Store) remove(path string) {
	for _, suffix := range []string{indexSuffix, dataSuffix} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("cache file not removed", "err", err)
		}
	}
}

// punch frees the bytes [off, off+n) of a data file.
func punch(data *os.File, off, n int64) error {
	conn, err := data.SyscallConn() // which keeps its number from another file, should it be closed just now
	if err == nil {
		err = errors.Join(conn.Control(func(fd uintptr) {
			err = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		}), err)
	}
	if err != nil {
		return fmt.Errorf("punch hole: %w", err)
	}
	return nil
}
