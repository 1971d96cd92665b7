package integration

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestCopyOfMount unmounts while a private mount namespace has a copy of the mount. The
// process ends when no file is open there, so that the cache is free for the next
// mount; what is open is read to its end first.
func TestCopyOfMount(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	id := s.Add(t, "disk", noise(t.Name(), 3<<20))
	for _, program := range []string{"glancefs umount", "umount"} {
		t.Run(program, func(t *testing.T) {
			m := mount(t, "--endpoint", s.URL)
			file := filepath.Join(m.Dir, "images", id, "data")
			umount := fmt.Sprintf("%s %s 2>&1", program, m.Dir)

			unused := newNamespace(t)
			unused.says(t, "stat -c %s "+file, "3145728")
			run(t, "sh", "-c", umount)
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			unused.says(t, "stat "+file+" 2>&1", "Transport endpoint is not connected")
			m.Again(t)

			used := newNamespace(t)
			used.says(t, "exec 3<"+file+"; head -c 4096 <&3 | wc -c", "4096")
			told := string(run(t, "sh", "-c", umount))
			if want := fmt.Sprintf("/proc/%d/root%s", used.pid, m.Dir); program != "umount" && !strings.Contains(told, want) {
				t.Errorf("told %q, want %s", told, want)
			}
			m.says(t, "files of it are open")
			used.says(t, "cat <&3 | wc -c", "3141632")
			used.says(t, "exec 3<&-; echo closed", "closed")
			if err := m.wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A namespace is a shell in a mount namespace of its own, into which no unmount
// reaches.
type namespace struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	c, in, out := talking(t, "unshare", "--mount", "--propagation", "private", "sh")
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	return &namespace{c.Process.Pid, in, bufio.NewReader(out)}
}

// says runs a command that prints one line, which has to contain want.
func (n *namespace) says(t *testing.T, script, want string) {
	t.Helper()
	fmt.Fprintln(n.in, script)
	line, err := n.out.ReadString('\n')
	if err != nil || !strings.Contains(line, want) {
		t.Fatalf("%s: %q, want %q (%v)", script, line, want, err)
	}
}
