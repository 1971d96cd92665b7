package cache

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// minSize is the least budget. It is exceeded by what is in use at the moment, an
// extent for each stream, so readers of different places make progress all the same.
const minSize = ExtentSize

// ParseSize reads a budget: bytes, with one of the suffixes K, M, G and T or
// KiB to TiB for powers of 1024, or a percentage of the file system that dir is
// or will be on. Less than 4 MiB and more than 100% are refused.
func ParseSize(s, dir string) (int64, error) {
	number, scale := s, 1.0
	if i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		if number = s[:i]; number == "" {
			return 0, fmt.Errorf("%q is not a size", s)
		}
		switch unit := strings.TrimSpace(s[i:]); strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "i") {
		case "":
		case "K":
			scale = 1 << 10
		case "M":
			scale = 1 << 20
		case "G":
			scale = 1 << 30
		case "T":
			scale = 1 << 40
		case "%":
			total, err := diskSize(dir)
			if err != nil {
				return 0, err
			}
			scale = float64(total) / 100
		default:
			return 0, fmt.Errorf("%q: no such unit: %q", s, unit)
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n*scale >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	if strings.HasSuffix(s, "%") && n > 100 {
		return 0, fmt.Errorf("%q is more than the file system has", s)
	}
	if n*scale < minSize {
		if strings.HasSuffix(s, "%") {
			return 0, fmt.Errorf("%q of the file system of %s is less than the least that works, %d MiB", s, dir, minSize>>20)
		}
		return 0, fmt.Errorf("%q is less than the least that works, %d MiB", s, minSize>>20)
	}
	return int64(n * scale), nil
}

// diskSize is the size of the file system of dir, or of its nearest parent
// that exists.
func diskSize(dir string) (int64, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			return int64(st.Blocks) * st.Frsize, nil
		}
		if err != unix.ENOENT || dir == filepath.Dir(dir) {
			return 0, fmt.Errorf("size of the file system of %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
}
