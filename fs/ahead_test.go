package fs

import (
	"bytes"
	"crypto/sha512"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestAhead writes a file in many ways. Whatever has been summed up in the end is
// the sum of what then is there, and of a file that was just written it is nearly
// all.
func TestAhead(t *testing.T) {
	const size = 16 * aheadPiece
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(data)
	for name, c := range map[string]struct {
		write func(put func(off, n int64, salt byte))
		least int64
	}{
		"in order": {func(put func(off, n int64, salt byte)) {
			for off := int64(0); off < size; off += 100_000 {
				put(off, min(100_000, size-off), 0)
			}
		}, size - aheadPiece},
		"twice": {func(put func(off, n int64, salt byte)) {
			for salt := range byte(2) {
				for off := int64(0); off < size; off += aheadPiece {
					put(off, aheadPiece, salt)
				}
			}
		}, size - aheadPiece},
		"the header again": {func(put func(off, n int64, salt byte)) {
			put(0, size, 0)
			put(0, 512, 1)
		}, 0},
		"backwards": {func(put func(off, n int64, salt byte)) {
			for off := int64(size - aheadPiece); off >= 0; off -= aheadPiece {
				put(off, aheadPiece, 0)
			}
		}, 0},
		"anywhere": {func(put func(off, n int64, salt byte)) {
			for i := range 200 {
				off := rand.Int64N(size)
				put(off, 1+rand.Int64N(size-off), byte(i))
			}
		}, 0},
		"at once": {func(put func(off, n int64, salt byte)) {
			put(0, 3*aheadPiece, 0)
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					for off := int64(i) * aheadPiece; off < size; off += 3 * aheadPiece {
						put(off, min(2*aheadPiece, size-off), byte(i))
					}
				})
			}
			all.Wait()
		}, 0},
	} {
		path := filepath.Join(t.TempDir(), "data")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		var work sync.WaitGroup
		a := newAhead(path, defaultHash, func(do func()) bool {
			work.Go(do)
			return true
		})
		c.write(func(off, n int64, salt byte) {
			p := bytes.Clone(data[off : off+n])
			for i := range p {
				p[i] ^= salt
			}
			a.begin(off)
			f.WriteAt(p, off)
			a.end(off, n)
		})
		work.Wait()
		s := a.stop()
		f.Close()
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := sha512.Sum512(got[:s.passed]); !bytes.Equal(s.hash.Sum(nil), want[:]) || s.passed < c.least {
			t.Errorf("%s: %d bytes summed up, at least %d should be, rightly", name, s.passed, c.least)
		}
		a.begin(0)
		if a.end(0, size); a.running || a.sum.passed > 0 {
			t.Errorf("%s: it goes on", name)
		}
	}
}
