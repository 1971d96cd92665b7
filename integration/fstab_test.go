package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// findable puts the built glancefs where mount(8) looks for programs, in this
// run's mount namespace. It gives none of its caller's PATH to them.
var findable = sync.OnceValue(func() error {
	bin, err := buildGlancefs()
	if err != nil {
		return err
	}
	return syscall.Mount(bin, "/usr/local/sbin", "", syscall.MS_BIND, "")
})

// fstab writes a table of one line for a fresh mountpoint, and has what is
// mounted there unmounted when the test ends.
func fstab(t *testing.T, spec, options string) (table, dir string) {
	t.Helper()
	require(t)
	if err := findable(); err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp(scratch(), "fstab")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, table = filepath.Join(base, "mnt"), filepath.Join(base, "fstab")
	line := fmt.Sprintf("%s %s fuse.glancefs cache_dir=%s,%s 0 0\n", spec, dir, filepath.Join(base, "cache"), options)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ended(t, dir) })
	return table, dir
}

// ended unmounts dir if need be, and wants the process behind it gone.
func ended(t *testing.T, dir string) {
	t.Helper()
	if _, mounted := connection(dir); mounted {
		run(t, "umount", dir)
	}
	if err := eventually("the end of the mount's process", func() (bool, error) {
		out, err := try(nil, "pgrep", "-af", "mount .*"+dir)
		return err != nil, fmt.Errorf("%s", out)
	}); err != nil {
		t.Error(err)
	}
}

// TestFstab mounts by a line of fstab through mount(8) and mount.fuse3(8).
func TestFstab(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	spec := "glancefs#" + s.URL
	table, dir := fstab(t, spec, "ro,allow_other,default_permissions,uid=64055,gid=42,refresh=1s,timeout=5s,cache_size=1GiB,"+
		"_netdev,nofail,noauto,nosuid,nodev,noexec,x-systemd.requires=network-online.target,x-systemd.mount-timeout=30")
	run(t, "mount", "-T", table, dir)
	// It is usable at once.
	sha512sum(t, filepath.Join(dir, "images", id, "data"), data)
	if got := string(run(t, "findmnt", "-n", "-o", "SOURCE,FSTYPE", dir)); strings.Join(strings.Fields(got), " ") != spec+" fuse.glancefs" {
		t.Errorf("findmnt says %q", got)
	}
	options := "," + strings.TrimSpace(string(run(t, "findmnt", "-n", "-o", "OPTIONS", dir))) + ","
	for _, o := range []string{"ro", "nosuid", "nodev", "allow_other", "default_permissions"} {
		if !strings.Contains(options, ","+o+",") {
			t.Errorf("findmnt does not show %s: %s", o, options)
		}
	}
	if got := string(run(t, "stat", "-c", "%u %g", filepath.Join(dir, "images", id, "data"))); got != "64055 42\n" {
		t.Errorf("owned by %q", got)
	}
	run(t, "setpriv", "--reuid=65534", "--clear-groups", "cat", filepath.Join(dir, "images", id, "data"))
	// What is mounted is not mounted again.
	run(t, "mount", "-a", "-T", table)
	if out, err := try(nil, "mount", "-T", table, dir); err == nil {
		t.Errorf("mounted twice: %s", out)
	}
	run(t, "umount", dir)
	ended(t, dir)
	run(t, "mount", "-T", table, dir)
	sha512sum(t, filepath.Join(dir, "images", id, "data"), data)
}

// TestMountHelper mounts by a mount.glancefs, called as mount(8) calls it, be it a link
// to the program or a copy of it.
func TestMountHelper(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	for _, how := range [][]string{{"ln", "-s"}, {"cp"}} {
		_, dir := fstab(t, "", "")
		base := filepath.Dir(dir)
		bin, err := buildGlancefs()
		if err != nil {
			t.Fatal(err)
		}
		helper := filepath.Join(base, "mount.glancefs")
		run(t, how[0], append(how[1:], filepath.Join(bin, "glancefs"), helper)...)
		out, err := exec.Command(helper, "glancefs#"+s.URL, dir, "-o", "rw,cache_dir="+filepath.Join(base, "cache")).CombinedOutput()
		if _, mounted := connection(dir); err != nil || !mounted {
			t.Errorf("made by %s: %v, %s", how[0], err, out)
		}
	}
}

// TestFstabRefused wants mount(8) to fail with one clear line and the status of
// its manual, and nothing mounted.
func TestFstabRefused(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	for _, c := range []struct {
		spec, options string
		status        int
		says          string
	}{
		{"glancefs#http://127.0.0.1:1", "rw", 32, "connection refused"},
		{"glancefs#nosuchcloud", "rw", 32, "clouds.yaml"},
		{"glancefs#" + s.URL, "allow_othre,colour=red", 1, "unknown mount options: allow_othre, colour=red"},
		{"glancefs#" + s.URL, "cache_size=lots", 1, "lots"},
		{"glancefs#" + s.URL, "uid=libvirt", 1, "libvirt"},
	} {
		table, dir := fstab(t, c.spec, c.options)
		_, err := try(nil, "mount", "-T", table, dir)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.status || !strings.Contains(err.Error(), c.says) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s %s: %v, want status %d and one line with %q", c.spec, c.options, err, c.status, c.says)
		}
		if _, mounted := connection(dir); mounted {
			t.Errorf("%s %s: mounted", c.spec, c.options)
		}
	}
}

// TestBackground mounts and goes on: nothing of the caller is kept, so that a
// caller that waits for its end of a pipe to close is not kept waiting, and what
// there is to say goes to syslog.
func TestBackground(t *testing.T) {
	t.Parallel()
	require(t)
	s := glancetest.New(t)
	s.Add(t, "disk", noise(t.Name(), 1000))
	base, err := os.MkdirTemp(scratch(), "background")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mnt", "run"} {
		if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// journald's socket is at /run/systemd/journal/dev-log, with a link in /dev;
	// the place that old syslogs have is looked at as well.
	log, err := net.ListenPacket("unixgram", filepath.Join(base, "run/log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	script := `set -e
mount --bind run /run
cd mnt
GLANCEFS_BACKGROUND=1 glancefs mount --endpoint "$1" --cache-dir ../cache --timeout 1s .
cd ..
test "$(cat mnt/.glancefs/status.json | jq -r .cache.dir)" = "$PWD/cache"
pid=$(pgrep -f "^[^ ]*/glancefs mount --detach.*$1")
test "$(ps -o sid= -p $pid | tr -d ' ')" = $pid
test "$(readlink /proc/$pid/cwd)" = /
! stat mnt/images/sick
umount mnt
`
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := command(ctx, nil, "unshare", "-m", "sh", "-c", script, "sh", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Dir = base
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	s.SetFaults(glancetest.Fault{Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/sick") }, Status: 500})
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	buf := make([]byte, 4096)
	log.SetReadDeadline(time.Now().Add(patience))
	n, _, err := log.ReadFrom(buf)
	if line := string(buf[:n]); err != nil || !strings.HasPrefix(line, "<28>") || !strings.Contains(line, "glancefs[") || strings.Contains(line, "time=") {
		t.Errorf("logged: %q, %v", line, err)
	}
}
