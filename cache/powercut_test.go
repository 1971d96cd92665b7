package cache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// snapshot is a blob's two files at one moment.
type snapshot struct{ data, index []byte }

func take(t testing.TB, s *Store) (n snapshot) {
	t.Helper()
	var err1, err2 error
	n.data, err1 = os.ReadFile(s.path("blob") + dataSuffix)
	n.index, err2 = os.ReadFile(s.path("blob") + indexSuffix)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return n
}

// lay makes dir a cache with the files of n.
func lay(t testing.TB, dir string, n snapshot) {
	t.Helper()
	path := (&Store{dir: filepath.Join(dir, "blobs")}).path("blob")
	err := errors.Join(
		os.MkdirAll(filepath.Dir(path), 0o700),
		os.WriteFile(path+dataSuffix, n.data, 0o600),
		os.WriteFile(path+indexSuffix, n.index, 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// lossy returns a file as a loss of power may leave it: every sector as it was
// before, or as it was after, or torn between the two, and the length too.
func lossy(r *rand.Rand, before, after []byte, loss float64) []byte {
	const sector = 512
	out := bytes.Clone(after)
	for off := 0; off < len(out); off += sector {
		if r.Float64() >= loss {
			continue
		}
		part := out[off:min(off+sector, len(out))]
		if r.IntN(4) == 0 {
			part = part[:r.IntN(len(part))]
		}
		n := 0
		if off < len(before) {
			n = copy(part, before[off:])
		}
		clear(part[n:])
	}
	if len(before) < len(after) && r.Float64() < loss {
		out = out[:len(before)+r.IntN(len(after)-len(before))]
	}
	return out
}

// TestPowerCuts cuts the power at random points of a store's life, with any
// part of the writes lost, and reads everything afterwards: no wrong byte, and
// what survived is not fetched again.
func TestPowerCuts(t *testing.T) {
	const blocks, points = 20, 1200
	src := digested(blocks*BlockSize - 100)
	r := rand.New(rand.NewPCG(4, 2))
	var life []snapshot
	session(t, t.TempDir(), src, func(s *Store, b *Blob) {
		for range 30 {
			if r.IntN(4) == 0 {
				evictAll(s)
			}
			for range 1 + r.IntN(10) {
				check(t, b, src, r.Int64N(b.Size()), 1+r.Int64N(3*BlockSize))
			}
			life = append(life, take(t, s))
		}
	})
	dir := t.TempDir()
	var refetched, intact int64
	for point := range points {
		i := r.IntN(len(life) - 1)
		before, after := life[i], life[i+1+r.IntN(min(3, len(life)-i-1))]
		loss := []float64{0, 0.01, 0.2, 1}[r.IntN(4)]
		cut := snapshot{lossy(r, before.data, after.data, loss), lossy(r, before.index, after.index, loss)}
		lay(t, dir, cut)
		good := survivors(src, cut)
		clear(src.given)
		session(t, dir, src, func(_ *Store, b *Blob) {
			check(t, b, src, 0, b.Size())
			if v := settle(t, b); v != Verified {
				t.Errorf("verification %d", v)
			}
		})
		for block := range good {
			intact++
			refetched += int64(src.given[block])
		}
		if t.Failed() {
			t.Fatalf("at point %d", point)
		}
	}
	if intact == 0 || refetched > 0 {
		t.Errorf("%d of %d intact blocks were fetched again", refetched, intact)
	}
}

// survivors returns the blocks of which both the bytes and the record are in
// the files.
func survivors(src *memory, n snapshot) map[int64]bool {
	good := make(map[int64]bool)
	h, err := readHeader(bytes.NewReader(n.index))
	if err != nil {
		return good
	}
	readRecords(bytes.NewReader(n.index), h, func(blocks []found) {
		for _, f := range blocks {
			off := f.block * BlockSize
			end := min(off+BlockSize, int64(len(src.data)))
			if end <= int64(len(n.data)) && bytes.Equal(n.data[off:end], src.data[off:end]) {
				good[f.block] = true
			}
		}
	})
	return good
}

// TestFlippedBytes flips bytes of the files, one at a time, and two.
func TestFlippedBytes(t *testing.T) {
	src := digested(5*BlockSize + 1000)
	var whole snapshot
	session(t, t.TempDir(), src, func(s *Store, b *Blob) {
		check(t, b, src, 0, b.Size())
		settle(t, b)
		whole = take(t, s)
	})
	r := rand.New(rand.NewPCG(5, 5))
	dir := t.TempDir()
	for i := range 300 {
		n := snapshot{bytes.Clone(whole.data), bytes.Clone(whole.index)}
		for range 1 + i%2 {
			file := n.data
			if r.IntN(2) == 0 {
				file = n.index
			}
			file[r.IntN(len(file))] ^= 1 << r.IntN(8)
		}
		lay(t, dir, n)
		session(t, dir, src, func(_ *Store, b *Blob) {
			off := r.Int64N(b.Size())
			check(t, b, src, off, 1+r.Int64N(b.Size()-off))
			check(t, b, src, 0, b.Size())
		})
		if t.Failed() {
			t.Fatalf("flip %d", i)
		}
	}
}
