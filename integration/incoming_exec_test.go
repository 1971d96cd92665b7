package integration

import (
	"path/filepath"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestCloseByExec has a program close what it has written by becoming another: it
// is locked meanwhile, for glancefs, too.
func TestCloseByExec(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	script := "import os, sys; f = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC); os.write(f, b'data'); os.execv('/bin/true', ['true'])"
	run(t, "python3", "-c", script, filepath.Join(m.Dir, "incoming/disk"))
	if all := images(t, s, "disk"); len(all) != 1 {
		t.Errorf("it has made %+v", all)
	}
	// A child is not who opened it, and the parent goes on to write.
	script = "import os, subprocess, sys; f = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY); os.write(f, b'da'); subprocess.run(['/bin/true'], check=True); os.write(f, b'ta'); os.close(f)"
	run(t, "python3", "-c", script, filepath.Join(m.Dir, "incoming/other"))
	if all := images(t, s, "other"); len(all) != 1 || all[0].Size != 4 {
		t.Errorf("it has made %+v", all)
	}
}
