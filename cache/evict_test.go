package cache

import (
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// disk is how many bytes the blobs of s take on disk.
func disk(t *testing.T, s *Store) (n int64) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // removed meanwhile
		}
		n += info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return n
}

// evictAll takes all that is here from the disk, as if there were no room at all.
func evictAll(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room.limit, s.room.asked = 0, time.Now().Add(time.Hour)
	s.evict(math.MaxInt)
	s.room.asked = time.Time{}
}

func TestBudget(t *testing.T) {
	for _, whole := range []bool{false, true} {
		src := newMemory(96<<20, whole)
		s := open(t, 4*ExtentSize, time.Minute)
		b := blob(t, s, src)
		const readers = 4
		var wg sync.WaitGroup
		for i := range readers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 3))
				n := 150
				if whole {
					n = 5 // each costs the whole blob
				}
				for range n {
					check(t, b, src, r.Int64N(b.Size()-1<<20), 1+r.Int64N(1<<20))
					if got, most := disk(t, s), int64((4+3*readers)*ExtentSize); got > most {
						t.Errorf("%d bytes on disk, budget %d", got, s.room.size)
					}
				}
			})
		}
		wg.Wait()
		rest(b)
		if st := s.Stats(); st.Evicted == 0 || st.Used > s.room.size {
			t.Errorf("evicted %d, used %d of %d", st.Evicted, st.Used, s.room.size)
		}
	}
}

// What was read last stays, what was read first goes.
func TestLeastRecentlyUsedGoes(t *testing.T) {
	src := newMemory(8*ExtentSize, false)
	s := open(t, 4*BlockSize, time.Minute)
	b := blob(t, s, src)
	for i := range int64(4) {
		check(t, b, src, i*ExtentSize, 1)
		rest(b)
	}
	check(t, b, src, 0, 1) // 0 is the newest now, 1 the oldest
	check(t, b, src, 5*ExtentSize, 1)
	rest(b)
	before := src.opened()
	check(t, b, src, 0, 1)
	if src.opened() != before {
		t.Error("what was used last was evicted")
	}
	check(t, b, src, ExtentSize, 1)
	if src.opened() != before+1 {
		t.Error("what was used least recently was not evicted")
	}
}

// A blob that is closed keeps its blocks; one with none left leaves no file.
func TestClosedBlobs(t *testing.T) {
	src := newMemory(ExtentSize, false)
	s := open(t, ExtentSize, time.Minute)
	for range 2 {
		b, err := s.Blob("one", ExtentSize, Digest{}, src)
		if err != nil {
			t.Fatal(err)
		}
		check(t, b, src, 0, ExtentSize)
		b.Close()
	}
	if src.most() != 1 {
		t.Error("a closed blob's blocks were fetched again")
	}
	other := newMemory(ExtentSize+BlockSize, false)
	b, err := s.Blob("two", ExtentSize+BlockSize, Digest{}, other)
	if err != nil {
		t.Fatal(err)
	}
	check(t, b, other, 0, ExtentSize)
	rest(b)
	if _, err := os.Stat(s.path("one") + dataSuffix); !os.IsNotExist(err) {
		t.Errorf("file of an evicted blob: %v", err)
	}
	b.Close()
}

func TestParseSize(t *testing.T) {
	dir := t.TempDir()
	for in, want := range map[string]int64{
		"67108864": 64 << 20, "64M": 64 << 20, "64MiB": 64 << 20, "1.5G": 3 << 29, "2TiB": 2 << 40,
		"4M": 4 << 20, "1": -1, "3M": -1, "x": -1, "": -1, "5X": -1, "1e9G": -1, "-5G": -1, "99999999999T": -1,
	} {
		got, err := ParseSize(in, dir)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
	whole, err := ParseSize("100%", dir+"/not/made/yet")
	if err != nil {
		t.Fatal(err)
	}
	half, err := ParseSize("50%", dir)
	if err != nil || half != whole/2 {
		t.Errorf("half of %d is %d, %v", whole, half, err)
	}
}

// What has arrived is not looked for room for in all of a large cache, each time, when
// there is none: it takes long, and everybody waits. Who comes next looks on.
func TestPinnedCacheIsNotSearched(t *testing.T) {
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, newMemory(BlockSize, false))
	s.mu.Lock()
	defer s.mu.Unlock()
	b.pins++
	for i := range int64(4 * fewExtents) {
		s.lru.Add(&extent{blob: b, index: i, present: 1}, struct{}{})
	}
	s.room.used, s.room.limit, s.room.asked = 1, 0, time.Now().Add(time.Hour)
	for i := range int64(3) {
		if e, _, _ := s.lru.GetOldest(); e.index != i*fewExtents {
			t.Errorf("the next to be looked at is %d, want %d", e.index, i*fewExtents)
		}
		s.evict(fewExtents)
	}
	b.pins--
	s.room.used, s.room.asked = 0, time.Time{}
	s.lru.Purge()
}

// The room of what is counted no more is given back also where the index cannot be
// written.
func TestRoomIsFreedWithoutIndex(t *testing.T) {
	src := newMemory(ExtentSize, false)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	check(t, b, src, 0, ExtentSize)
	rest(b)
	index := b.index
	readOnly, err := os.Open(index.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	s.mu.Lock()
	b.index = readOnly
	s.mu.Unlock()
	evictExtent(b, 0)
	s.mu.Lock()
	b.index = index
	s.mu.Unlock()
	if n := disk(t, s); n >= ExtentSize {
		t.Errorf("%d bytes on disk of what was evicted", n)
	}
	check(t, b, src, 0, ExtentSize)
}

// TestClearedByTwo has two find the same extent to be evicted: when the second comes to
// it, what is in its place has been fetched since.
func TestClearedByTwo(t *testing.T) {
	src := newMemory(2*ExtentSize, false)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	check(t, b, src, 0, ExtentSize)
	rest(b)
	b.store.mu.Lock()
	e := b.extents[0]
	b.store.clear(e)
	b.store.mu.Unlock()
	check(t, b, src, 0, ExtentSize)
	rest(b)
	before := src.opened()
	b.store.mu.Lock()
	b.store.clear(e)
	b.store.mu.Unlock()
	check(t, b, src, 0, ExtentSize)
	if n := src.opened() - before; n != 0 {
		t.Errorf("fetched again by %d streams", n)
	}
}
