package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
)

const (
	// BlockSize is the unit of presence and the least that is fetched, in bytes.
	BlockSize = 64 << 10
	// ExtentSize is the unit of eviction in bytes: 64 blocks, one word of bits.
	ExtentSize      = blocksPerExtent * BlockSize
	blocksPerExtent = 64

	// maxBlob is what a blob may have, in bytes: a service may say anything, and what
	// is fetched ahead of a reader is counted from there. No file is as large.
	maxBlob = 1 << 62

	// maxStreams bounds the streams open at once over all blobs, and with them
	// memory: each run that streams holds the block it is at. It is more than a
	// host has images in use, so that a miss seldom waits for another's stream.
	maxStreams = 128
)

// ErrClosed ends the reads of a closed store.
var ErrClosed = errors.New("cache is closed")

// A Key names a blob. Equal keys must mean equal bytes for all time.
type Key string

// A Stream carries the bytes [Start, End) of a blob. Closing Body early is
// allowed. Body ends with io.EOF at End and with any other error before it.
type Stream struct {
	Body       io.ReadCloser
	Start, End int64
}

// A Source opens one blob's bytes. It is asked for [off, off+n), n > 0, and
// may answer with more on either side: a source that cannot seek answers with
// everything from 0. An error that no repetition will mend is wrapped by
// backoff.Permanent; any other is retried. Open obeys ctx, which also bounds
// the life of the stream.
type Source interface {
	Open(ctx context.Context, off, n int64) (Stream, error)
}

// Config is what a store needs to know.
type Config struct {
	Dir     string        // of its own; made when missing
	Made    bool          // it must have been made by an earlier store
	Resumes bool          // it has readers already, who go on from memory where the disk fails
	Size    int64         // budget for blob bytes on disk
	Timeout time.Duration // how long a reader waits without progress; 0 for ever
	Log     *slog.Logger
}

// A Store holds blobs within one directory and one budget.
type Store struct {
	dir     string
	lock    *os.File // nil if the disk is not to be used at all
	remote  bool     // leases tell nothing here; see isRemote
	timeout time.Duration
	maxOpen int // blobs with open files, but for those in use
	log     *slog.Logger
	places  *semaphore.Weighted // one for each open stream
	hashing *semaphore.Weighted // one for all
	buffers sync.Pool           // of *buffer

	ctx    context.Context // ends every run
	cancel context.CancelFunc
	runs   sync.WaitGroup // and checks of whole blobs
	served atomic.Int64   // Stats.Read

	mu    sync.Mutex
	freed sync.Cond // an extent or a leftover is no longer being punched
	blobs map[Key]*Blob
	lru   *simplelru.LRU[*extent, struct{}] // extents with present blocks, oldest first
	left  leftovers
	files *simplelru.LRU[*Blob, struct{}] // blobs with open files, the longest unread first
	room  room
	link  link
	stats Stats

	reading int // sequences somebody waits for
	queued  int // runs that wait for one of the places

	complained time.Time // when a failing disk was last logged

	dropped func(Key) // see OnMismatch; may be nil
}

// A buffer has room for one block. It goes back to where it came from with the
// last who uses it: the run that fills it, the extent that has its block in
// memory, readers.
type buffer struct {
	block [BlockSize]byte
	users int // guarded by Store.mu
}

// held is a block in memory, or the part of it that has arrived. It starts at
// start within the blob.
type held struct {
	start int64
	buf   *buffer
}

// buffer returns one that nobody uses but the caller.
func (s *Store) buffer() *buffer {
	buf := s.buffers.Get().(*buffer)
	buf.users = 1
	return buf
}

// giveBack ends one use of buf. Called with mu held.
func (s *Store) giveBack(buf *buffer) {
	if buf.users--; buf.users == 0 {
		s.buffers.Put(buf)
	}
}

// Open makes dir the home of a store, with what an earlier store left there.
// It fails with ErrBusy when another process has it. What it costs grows with
// the number of blobs, not with their sizes.
func Open(c Config) (*Store, error) {
	blobs := filepath.Join(c.Dir, "blobs")
	if c.Made {
		if _, err := os.Stat(blobs); err != nil {
			return nil, fmt.Errorf("no cache in %s: %w", c.Dir, err)
		}
	}
	if err := PrivateDir(blobs); !c.tolerates(err) {
		return nil, fmt.Errorf("cache directory: %w", err)
	}
	lock, err := lockDir(c.Dir, c.Resumes)
	if !c.tolerates(err) {
		return nil, fmt.Errorf("cache directory %s: %w", c.Dir, err)
	}
	s := &Store{
		dir: blobs, lock: lock, remote: isRemote(blobs), timeout: c.Timeout, log: c.Log, maxOpen: maxOpen(),
		places: semaphore.NewWeighted(maxStreams), hashing: semaphore.NewWeighted(1),
		blobs: make(map[Key]*Blob), lru: recency[*extent](), files: recency[*Blob](),
		room: room{dir: blobs, size: c.Size},
	}
	left, halves, err := leftovers{}, []string(nil), error(nil)
	if lock != nil {
		left, halves, err = findLeftovers(blobs)
	}
	for _, path := range halves {
		err = errors.Join(err, os.Remove(path))
	}
	if !c.tolerates(err) {
		lock.Close()
		return nil, fmt.Errorf("cache directory %s: %w", c.Dir, err)
	}
	s.left = left
	for _, l := range left.aged {
		s.room.used += l.used
	}
	s.buffers.New = func() any { return new(buffer) }
	s.freed.L = &s.mu
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// tolerates reports whether a store can do with err: one that resumes can with what is
// the disk's fault, which is told, but not with what somebody else has put into its place.
func (c Config) tolerates(err error) bool {
	var failed syscall.Errno
	if err == nil || !c.Resumes || !errors.As(err, &failed) {
		return err == nil
	}
	switch failed {
	case syscall.ENOTDIR, syscall.EISDIR, syscall.EACCES:
		return false
	}
	c.Log.Error("cache disk fails; reads go on from memory", "err", err)
	return true
}

// Check says why dir cannot be the home of a store that resumes, as far as that can be
// told while another process has it.
func (c Config) Check() error {
	c.Log = slog.New(slog.DiscardHandler) // Open will tell
	if err := PrivateDir(filepath.Join(c.Dir, "blobs")); !c.tolerates(err) {
		return fmt.Errorf("cache directory: %w", err)
	}
	lock, err := openLock(c.Dir, c.Resumes)
	if !c.tolerates(err) {
		return fmt.Errorf("cache directory %s: %w", c.Dir, err)
	}
	lock.Close()
	return nil
}

// recency returns an order of use without a bound: extents are bounded by their
// bytes, in evict, and open files by who needs them, in spareFiles.
func recency[K comparable]() *simplelru.LRU[K, struct{}] {
	l, err := simplelru.NewLRU[K, struct{}](math.MaxInt, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return l
}

// Close ends every run, waits for them and gives the directory back. Readers
// still waiting get ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	s.cancel() // under the lock, so that no run begins once they are waited for
	s.mu.Unlock()
	s.runs.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.blobs {
		b.closeFiles()
		if b.cached == 0 {
			s.forget(b)
		}
	}
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// Blob opens the blob of that key, size and digest; src serves what is
// missing. Every Blob must be closed. What was cached under the key is still
// there. A size that none can have is EFBIG.
func (s *Store) Blob(key Key, size int64, digest Digest, src Source) (*Blob, error) {
	if size > maxBlob {
		return nil, fmt.Errorf("blob %s: size %d: %w", key, size, unix.EFBIG)
	}
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	b := s.blobs[key]
	if b == nil {
		b = s.newBlob(header{key, size, digest})
		s.blobs[key] = b
	}
	b.users++
	b.src, b.doomed = src, false // whoever opens it has seen it alive
	s.mu.Unlock()
	err := b.grab()
	if err == nil {
		b.letGo()
	}
	if err == nil && b.size != size {
		err = fmt.Errorf("blob %s: size %d, was %d", key, size, b.size)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// newBlob makes a blob that nobody knows yet.
func (s *Store) newBlob(h header) *Blob {
	return &Blob{store: s, header: h, extents: make(map[int64]*extent), trust: trust{verdict: newVerdict()}}
}
