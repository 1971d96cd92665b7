package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"syscall"
	"testing"
	"time"
)

// nulls is a Source of any size.
type nulls int64

func (n nulls) Open(_ context.Context, off, want int64) (Stream, error) {
	end := off + min(want, int64(n)-off)
	return Stream{Body: io.NopCloser(io.LimitReader(zeroes{}, end-off)), Start: off, End: end}, nil
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What a service says of a size is refused, or can be read up to its end.
func TestHugeSizes(t *testing.T) {
	s := open(t, 1<<30, time.Minute)
	s.link.latency, s.link.rate = time.Second, 1<<30 // so that it is fetched ahead
	for _, size := range []int64{1 << 50, maxBlob - 1, maxBlob, maxBlob + 1, math.MaxInt64 - 1<<20, math.MaxInt64} {
		b, err := s.Blob(Key(fmt.Sprint(size)), size, Digest{}, nulls(size))
		if (err != nil) != (size > maxBlob) || err != nil && !errors.Is(err, syscall.EFBIG) {
			t.Errorf("size %d: %v", size, err)
		}
		if err != nil {
			continue
		}
		for _, off := range []int64{size - 1, size / 2, 0, size - ExtentSize - 1} {
			if n, err := b.ReadAt(bound(t), make([]byte, 2), off); n == 0 || err != nil && err != io.EOF {
				t.Errorf("size %d: %d bytes at %d: %v", size, n, off, err)
			}
		}
		rest(b)
		b.Close()
	}
}
