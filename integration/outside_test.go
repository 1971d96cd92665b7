package integration

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// openThen has its input open, or with the second argument only mapped, says so, and
// reads it once it is told to.
const openThen = `
import ctypes, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
if sys.argv[2] == "mapped":
    mmap = ctypes.CDLL(None).mmap
    mmap.restype, mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
    at = mmap(None, size, 1, 1, fd, 0)  # PROT_READ, MAP_SHARED
    os.close(fd)
    read = lambda: ctypes.string_at(at, size)
else:
    read = lambda: os.pread(fd, size, 0)
sys.stdout.buffer.write(b"\n")
sys.stdout.flush()
sys.stdin.readline()
sys.stdout.buffer.write(read())
`

// TestReadByTheKernelStays: what the kernel reads by itself of a mount that has ended,
// or after its file was closed, does not make way for other images. Nobody here has it
// open by then, and a hole would be read as zeros.
func TestReadByTheKernelStays(t *testing.T) {
	for name, c := range map[string]struct {
		how string
		end func(*testing.T, *Mount, string)
	}{
		"mapped": {"mapped", func(*testing.T, *Mount, string) {}},
		"SIGTERM": {"open", func(t *testing.T, m *Mount, _ string) {
			m.Stop(t)
			m.Again(t)
		}},
		"SIGKILL": {"open", func(t *testing.T, m *Mount, file string) {
			m.Kill9(t)
			run(t, "glancefs", "umount", "--lazy", m.Dir)
			m.Again(t)
			run(t, "cat", file)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := glancetest.New(t)
			data, other := noise(t.Name(), 8<<20), noise("other", 24<<20)
			m := mount(t, "--endpoint", s.URL, "--cache-size", "16MiB")
			file := filepath.Join(m.Dir, "images", s.Add(t, "disk", data), "data")
			pushes := filepath.Join(m.Dir, "images", s.Add(t, "other", other), "data")
			sha512sum(t, file, data)
			if v := verified(t, file); v != "yes" {
				t.Fatalf("verified: %q", v)
			}
			reader, in, out := talking(t, "python3", "-c", openThen, file, c.how)
			if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			c.end(t, m, file)
			sha512sum(t, pushes, other)
			if _, err := io.WriteString(in, "\n"); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(out); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes of %d were read, and not those of the image (%v)", len(got), len(data), err)
			}
			if err := reader.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
