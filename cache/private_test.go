package cache

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPrivate opens a store in a directory that others may write, with what they
// may have put there.
func TestPrivate(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(dir string) error
		want  string // in the error
	}{
		"nothing":   {func(string) error { return nil }, ""},
		"open dir":  {func(dir string) error { return os.Mkdir(filepath.Join(dir, "blobs"), 0o777) }, ""},
		"link":      {func(dir string) error { return os.Symlink(t.TempDir(), filepath.Join(dir, "blobs")) }, "symbolic link"},
		"file":      {func(dir string) error { return os.WriteFile(filepath.Join(dir, "blobs"), nil, 0o600) }, "no directory"},
		"their dir": {theirs("blobs", 0o777), "belongs to user 12345"},
		"lock link": {func(dir string) error { return os.Symlink(filepath.Join(dir, "x"), filepath.Join(dir, "lock")) }, "symbolic link"},
		"lock pipe": {func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "lock"), 0o600) }, "neither a file"},
		"their lock": {func(dir string) error {
			path := filepath.Join(dir, "lock")
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				return err
			}
			return os.Chown(path, 12345, 12345)
		}, "belongs to user 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "their") && os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			dir := t.TempDir()
			// Not sticky: there the kernel refuses some of it by itself.
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := c.plant(dir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Config{Dir: dir, Size: 1 << 30, Timeout: time.Second, Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				s.Close()
			}
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if info, serr := os.Stat(filepath.Join(dir, "blobs")); err != nil || serr != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v, %v: %v", err, serr, info.Mode())
			}
		})
	}
}

// theirs plants a directory of another user.
func theirs(name string, mode os.FileMode) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, mode); err != nil {
			return err
		}
		return os.Chown(path, 12345, 12345)
	}
}
