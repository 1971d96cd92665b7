package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/fs/metadata"
)

// overwrite writes p into a text at off, or, with end, behind it. The text grows
// up to maxText.
func overwrite(text, p []byte, off int64, end bool) ([]byte, error) {
	if end {
		off = int64(len(text))
	}
	text, err := resize(text, max(uint64(len(text)), uint64(off)+uint64(len(p))))
	if err == nil {
		copy(text[off:], p)
	}
	return text, err
}

// resize gives a text a length up to maxText.
func resize(text []byte, size uint64) ([]byte, error) {
	switch n := uint64(len(text)); {
	case size > metadata.MaxText:
		return text, errTooLong
	case size > n:
		return append(text, make([]byte, size-n)...), nil
	}
	return text[:size], nil
}

// part returns what a read of a text gets.
func part(text []byte, size int, off int64) fuse.ReadResult {
	if off >= int64(len(text)) {
		return fuse.ReadResultData(nil)
	}
	return fuse.ReadResultData(text[off:min(int64(len(text)), off+int64(size))])
}
