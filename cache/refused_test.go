package cache

import (
	"os"
	"testing"
	"time"
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
// but what is read meanwhile.
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
