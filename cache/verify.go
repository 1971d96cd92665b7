package cache

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"os"
)

// A Verification is what is known of a whole blob's match with its digest.
type Verification int

const (
	Unverified Verification = iota // not whole, not looked at yet, or without a digest
	Verified
	Mismatched // the source sends other bytes than the digest is of
)

// ErrMismatch is the end of a blob whose source sends other bytes than the
// digest is of.
var ErrMismatch = errors.New("data does not match its checksum")

// ErrNoDigest is the answer where a blob has no digest to be checked against.
var ErrNoDigest = errors.New("no checksum to verify the data with")

// maxMismatches is how often, in a row, a whole blob does not match before that is
// believed: it is fetched anew once, since the fault may have been on the way.
const maxMismatches = 2

// trust is how far a blob is checked.
type trust struct {
	state      Verification
	verdict    *verdict // the next one
	checking   bool
	mismatches int
	row        int   // of these, since it last matched
	warned     bool  // that blocks were spoiled
	why        error // why the last check came to nothing; see NotVerified
}

// A verdict is what those wait for who want a blob checked. It comes when the
// state changes, when a check has come to nothing, and when blocks are lost that
// no check under way will miss: then there is to be another.
type verdict struct {
	come chan struct{} // closed then
	err  error         // why the check came to nothing; set before
}

func newVerdict() *verdict { return &verdict{come: make(chan struct{})} }

// newHash returns the hash of that name, or nil.
func newHash(algo string) hash.Hash {
	switch algo {
	case "md5":
		return md5.New()
	case "sha1":
		return sha1.New()
	case "sha224":
		return sha256.New224()
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// Hash returns a hash by which a digest is made, or nil where the algorithm is
// not known.
func (d Digest) Hash() hash.Hash { return newHash(d.Algo) }

// CanVerify reports whether digests of that algorithm can be checked.
func CanVerify(algo string) bool { return newHash(algo) != nil }

// Verification tells whether the blob is known to match its digest.
func (b *Blob) Verification() Verification {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.state
}

// Mismatches is how often the blob was compared with its digest, as a whole, and
// did not match: what was read of it before then may be wrong.
func (b *Blob) Mismatches() int {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.mismatches
}

// conclude tells those who wait for a verdict. Called with mu held.
func (b *Blob) conclude(err error) {
	b.verdict.err = err
	close(b.verdict.come)
	b.verdict = newVerdict()
}

// decide settles the state. Called with mu held.
func (b *Blob) decide(v Verification) {
	b.state = v
	if v == Verified {
		b.row = 0
	}
	b.conclude(nil)
}

// doubt takes a Verified back, and a Mismatched when nothing is left of what did not
// match: what comes then is judged anew. Called with mu held.
func (b *Blob) doubt() {
	switch {
	case b.state == Verified:
		b.state = Unverified
	case b.state == Mismatched && b.cached == 0:
		b.state, b.row = Unverified, 0
	}
	if !b.checking {
		b.conclude(nil)
	}
}

// consider begins to check a blob that has become whole. Called with mu held.
func (b *Blob) consider() {
	s := b.store
	if !b.here() || b.size == 0 || b.state != Unverified || b.checking || newHash(b.digest.Algo) == nil || s.ctx.Err() != nil {
		return
	}
	b.judge(b.check)
}

// judge has check find out in the background whether the blob is as it should be. What
// it found holds for as long as no block is lost beyond those counted. Called with mu
// held.
func (b *Blob) judge(check func() (lost int, err error)) {
	s := b.store
	b.checking, b.why = true, nil
	b.users++
	b.pins++ // nothing of it is evicted meanwhile
	s.runs.Go(func() {
		lost, err := check()
		s.mu.Lock()
		defer s.mu.Unlock()
		b.pins--
		if errors.Is(err, errComing) {
			err, lost = nil, -1 // when they are there, all of it is looked at
		}
		b.why = err
		switch {
		case errors.Is(err, ErrMismatch):
			b.mismatch()
		case err == nil && b.lost == lost:
			b.decide(Verified)
		case s.ctx.Err() != nil:
			b.conclude(ErrClosed)
		default:
			if errors.Is(err, errUnkept) {
				s.dropBlocks(b) // those that were lost look as the others do, for a while
			}
			b.conclude(err)
			if err != nil && !errors.Is(err, b.refused) { // that is told, and comes with each read of a small image
				s.log.Warn("image data not verified", "blob", b.key, "err", err)
			}
		}
		b.checking = false // only now: the blocks that mismatch drops are no news
		if err == nil || errors.Is(err, ErrMismatch) {
			b.consider() // for what was lost or dropped meanwhile may have come again
		}
		b.drop()
	})
}

// errComing ends a check of a blob of which some blocks were lost and come anew: it
// would find them in memory, and not as they come to be in the file.
var errComing = errors.New("blocks are on their way")

// check hashes the whole blob and compares. It goes over it again if blocks were
// lost or the file was changed meanwhile, as it is when spoiled ones are mended.
func (b *Blob) check() (lost int, err error) {
	s := b.store
	if err := s.hashing.Acquire(s.ctx, 1); err != nil {
		return 0, err
	}
	defer s.hashing.Release(1)
	if err := b.grab(); err != nil {
		return 0, err
	}
	defer b.letGo()
	data, index, err := b.onDisk()
	if err != nil {
		return 0, err
	}
	for range 1 + maxSpoiled {
		lost, here := b.losses()
		if !here {
			return 0, errComing
		}
		before, err := b.stampOf(data)
		if errors.Is(err, errLonger) && data.Truncate(b.size) == nil {
			before, err = b.stampOf(data)
		}
		if err != nil {
			return 0, err
		}
		if err := b.hash(); err != nil {
			return 0, err
		}
		after, err := b.stampOf(data)
		if err != nil && !errors.Is(err, errLonger) {
			return 0, err
		}
		if now, _ := b.losses(); before == after && now == lost {
			return lost, b.seal(data, index, after)
		}
	}
	return 0, errSpoiled
}

// seal writes down that the blob matches, once the disk has it.
func (b *Blob) seal(data, index *os.File, st stamp) error {
	if err := reach(b.store.ctx, data, b.size); err != nil {
		return err
	}
	return writeStamp(index, st)
}

// losses is how many blocks were lost so far, and whether all have come since.
func (b *Blob) losses() (lost int, here bool) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.lost, b.here()
}

// here reports whether all of b is here, as far as the disk takes it. Called with mu
// held.
func (b *Blob) here() bool { return b.cached == b.size && b.writing == 0 }

func (b *Blob) hash() error {
	h := newHash(b.digest.Algo)
	buf := make([]byte, 16*BlockSize)
	for off := int64(0); off < b.size; off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), b.size-off)]
		if _, err := b.readExtent(b.store.ctx, p, off); err != nil {
			return err
		}
		h.Write(p)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.digest.Value {
		b.store.log.Error("image data does not match its checksum", "blob", b.key, "algorithm", b.digest.Algo, "want", b.digest.Value, "got", got)
		return ErrMismatch
	}
	return nil
}
