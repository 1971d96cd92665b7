package cache

import (
	"testing"
	"time"
)

func TestStatsOfReads(t *testing.T) {
	src := newMemory(2*ExtentSize, false)
	b := blob(t, open(t, 1<<30, time.Minute), src)
	check(t, b, src, 0, 100)              // fetched
	check(t, b, src, 50, 10)              // here
	check(t, b, src, ExtentSize-100, 50)  // fetched
	check(t, b, src, 0, b.Size())         // a part of each extent fetched
	check(t, b, src, ExtentSize-100, 200) // here, in two extents
	rest(b)
	st := b.store.Stats()
	if st.Misses != 4 || st.Hits != 3 || st.Filled != 2*blocksPerExtent {
		t.Errorf("%d misses, %d hits, %d blocks filled; want 4, 3, %d", st.Misses, st.Hits, st.Filled, 2*blocksPerExtent)
	}
}
