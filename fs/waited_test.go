package fs

import (
	"context"
	"testing"
	"time"

	"glancefs/cache"
)

// TestWaited: the kernel asks twice for a page that cannot be had, and then for all
// others who want it, and everybody waits once.
func TestWaited(t *testing.T) {
	by := func(pid int) reader { return reader{context.Background(), pid} }
	d := &imageData{}
	d.told(by(7), 65536, 131072, cache.ErrTimeout)
	for _, c := range []struct {
		who  string
		pid  int
		off  int64
		want error
	}{
		{"another reader", 8, 65536, cache.ErrTimeout},
		{"the other reader, once more", 8, 69632, cache.ErrTimeout},
		{"a page before", 7, 61440, nil},
		{"a page behind", 7, 131072, nil},
		{"nobody that can be seen", 0, 65536, nil},
		{"the kernel, once more", 7, 69632, cache.ErrTimeout},
		{"the reader, anew", 7, 69632, nil},
	} {
		d.waited.at = time.Now() // or a busy machine's kernel would ask too late
		if err := d.again(by(c.pid), c.off, c.off+4096); err != c.want {
			t.Errorf("%s: %v", c.who, err)
		}
	}
	d.waited.at = d.waited.at.Add(-queueWithin)
	if err := d.again(by(9), 65536, 69632); err != nil {
		t.Errorf("who comes later: %v", err)
	}
	d.direct = true
	d.told(by(7), 0, 4096, cache.ErrTimeout)
	if err := d.again(by(7), 0, 4096); err != nil {
		t.Errorf("past the page cache: %v", err)
	}
}
