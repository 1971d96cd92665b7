package cache

import (
	"os"
	"sync"
	"testing"
	"time"
)

// A spoiled block is fetched once more, however many find out.
func TestSpoiledIsFetchedOnce(t *testing.T) {
	src := digested(8 * BlockSize)
	s := open(t, 1<<30, time.Minute)
	b := blob(t, s, src)
	check(t, b, src, 0, b.Size())
	rest(b)
	f, err := os.OpenFile(s.path("blob")+dataSuffix, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 100 {
		clear(src.given)
		f.WriteAt([]byte{src.data[0] ^ 1}, 0)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() { check(t, b, src, 0, b.Size()) })
		}
		all.Wait()
		rest(b)
		if most := src.most(); most > 1 {
			t.Fatalf("round %d: a block was fetched %d times", i, most)
		}
	}
}
