package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A usage is what processes have used until now.
type usage struct {
	cpu  time.Duration // of user and system
	peak int64         // bytes of memory
}

// groupUsage is that of the processes of a group, and of those children of
// theirs that have been waited for.
func groupUsage(group int) (u usage, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u, err
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 15 || f[2] != strconv.Itoa(group) {
			continue
		}
		for _, ticks := range f[11:15] { // utime, stime, cutime, cstime: see proc(5)
			n, err := strconv.ParseInt(ticks, 10, 64)
			if err != nil {
				return u, fmt.Errorf("%s: %w", file, err)
			}
			u.cpu += time.Duration(n) * time.Second / 100 // USER_HZ, the same everywhere
		}
		peak, err := peakMemory(filepath.Dir(file))
		if err != nil {
			return u, err
		}
		u.peak += peak
	}
	return u, nil
}

// peakMemory is the most that a process ever had, in bytes; 0 when it has ended.
func peakMemory(proc string) (int64, error) {
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return 0, nil
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	if !ok {
		return 0, nil // a zombie
	}
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kib << 10, err
}
