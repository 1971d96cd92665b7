package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// packageOf is the package in the directory that GLANCEFS_PACKAGES names, where
// "make dist" has put it. Without that the test is skipped.
func packageOf(t *testing.T, kind string) string {
	t.Helper()
	require(t)
	dir := os.Getenv("GLANCEFS_PACKAGES")
	if dir == "" {
		t.Skip(`GLANCEFS_PACKAGES is not set; "make packages" does that`)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*."+kind))
	if err != nil || len(found) != 1 {
		t.Fatalf("in %s: %q, %v; want one %s", dir, found, err, kind)
	}
	return found[0]
}

// A cleanRoot is a Debian that has seen nothing yet.
type cleanRoot struct {
	t   *testing.T
	dir string
}

func newCleanRoot(t *testing.T) *cleanRoot {
	t.Helper()
	dir, err := os.MkdirTemp(scratch(), "root")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	c, err := command(ctx, nil, "env", "debootstrap", "--variant=minbase", "--include=man-db,bash-completion", "bookworm", dir)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, kind := range map[string]string{"proc": "proc", "dev": "", "sys": ""} {
		at, flags := filepath.Join(dir, name), uintptr(0)
		if kind == "" {
			flags = syscall.MS_BIND | syscall.MS_REC
		}
		if err := syscall.Mount("/"+name, at, kind, flags, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Unmount(at, syscall.MNT_DETACH) })
	}
	return &cleanRoot{t, dir}
}

// try runs a program in the root.
func (r *cleanRoot) try(name string, args ...string) (string, error) {
	out, err := try([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, "env", append([]string{"chroot", r.dir, name}, args...)...)
	return string(out), err
}

func (r *cleanRoot) run(name string, args ...string) string {
	r.t.Helper()
	out, err := r.try(name, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// files lists what is in the root, but for what dpkg, man and mount keep of it.
func (r *cleanRoot) files() []string {
	r.t.Helper()
	return strings.Split(r.run("find", "/", "-xdev", "(", "-path", "/var/lib/dpkg", "-o", "-path", "/var/log", "-o", "-path", "/var/cache/man", "-o", "-path", "/run", ")",
		"-prune", "-o", "-print"), "\n")
}

// TestPackageDeb installs the deb on a clean root, uses what comes with it, and
// purges it.
func TestPackageDeb(t *testing.T) {
	t.Parallel()
	deb := packageOf(t, "deb")
	r := newCleanRoot(t)
	before := r.files()
	run(t, "cp", deb, filepath.Join(r.dir, "root/glancefs.deb"))
	r.run("dpkg", "-i", "/root/glancefs.deb")
	run(t, "rm", filepath.Join(r.dir, "root/glancefs.deb"))

	for _, page := range []string{"glancefs", "mount.glancefs"} {
		text := r.run("man", "-P", "cat", "8", page)
		for _, want := range []string{"NAME", "--os-cloud=NAME", "glancefs warm MOUNTPOINT IMAGE...", "_netdev", "EXIT STATUS"} {
			if !strings.Contains(text, want) {
				t.Errorf("man %s does not have %q:\n%s", page, want, text)
			}
		}
	}
	complete := `source /usr/share/bash-completion/bash_completion
_completion_loader glancefs
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_glancefs
echo "${COMPREPLY[*]}"`
	for line, want := range map[string]string{
		"glancefs st": "status", "glancefs mount --cache-": "--cache-dir --cache-size", "glancefs cache v": "verify", "glancefs mount /mn": "",
	} {
		args := append([]string{"-c", complete, "bash"}, strings.Fields(line)...)
		if got := r.run("bash", args...); got != want+"\n" {
			t.Errorf("bash completes %q with %q, want %q", line, got, want)
		}
	}
	if got := r.run("stat", "-c", "%a %n", "/var/cache/glancefs", "/etc/glancefs"); got != "700 /var/cache/glancefs\n750 /etc/glancefs\n" {
		t.Errorf("made with %q", got)
	}

	for _, kind := range []string{"fuse.glancefs", "glancefs"} {
		r.mounts(kind)
	}

	out := r.run("sh", "-c", "dpkg --purge glancefs 2>&1")
	if !strings.Contains(out, "rm -r /var/cache/glancefs") {
		t.Errorf("purging says nothing of the cache:\n%s", out)
	}
	for _, left := range r.files() {
		if !slices.Contains(before, left) && !strings.HasPrefix(left, "/var/cache/glancefs") && left != "/mnt/glance" && left != "/etc/fstab" {
			t.Errorf("purging leaves %s", left)
		}
	}
}

// mounts mounts and unmounts by a line of the root's fstab.
func (r *cleanRoot) mounts(kind string) {
	t := r.t
	t.Helper()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	s.Add(t, "disk", data)
	if err := os.MkdirAll(filepath.Join(r.dir, "mnt/glance"), 0o755); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("glancefs#%s /mnt/glance %s allow_other,_netdev,nofail 0 0\n", s.URL, kind)
	if err := os.WriteFile(filepath.Join(r.dir, "etc/fstab"), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	r.run("mount", "/mnt/glance")
	sha512sum(t, filepath.Join(r.dir, "mnt/glance/by-name/disk/data"), data)
	if got := r.run("glancefs", "status", "/mnt/glance"); !strings.Contains(got, s.URL) {
		t.Errorf("%s: status: %s", kind, got)
	}
	r.run("umount", "/mnt/glance")
	err := eventually("the end of the mount's process", func() (bool, error) {
		out, err := try(nil, "pgrep", "-af", "glancefs mount .*"+s.URL)
		return err != nil, fmt.Errorf("%s", out)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPackageRPM wants the rpm to have what the deb has, where an rpm has it.
func TestPackageRPM(t *testing.T) {
	t.Parallel()
	names := func(list string) (all []string) {
		for line := range strings.Lines(list) {
			name := strings.TrimPrefix(strings.TrimSuffix(strings.TrimSpace(line), "/"), ".")
			name = strings.Replace(name, "/zsh/vendor-completions", "/zsh/site-functions", 1)
			if base := filepath.Base(name); name != "/usr/share/doc/glancefs" && strings.Contains(base, "glancefs") || strings.Contains(base, "fstab") {
				all = append(all, name)
			}
		}
		slices.Sort(all)
		return all
	}
	tree, err := os.MkdirTemp(scratch(), "deb")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg-deb", "-x", packageOf(t, "deb"), tree)
	ours := names(strings.ReplaceAll(string(run(t, "find", tree)), tree, ""))
	theirs := names(string(run(t, "rpm", "-qpl", packageOf(t, "rpm"))))
	if !slices.Equal(ours, theirs) || len(ours) < 10 {
		t.Errorf("the deb has %q, the rpm %q", ours, theirs)
	}
	scripts := string(run(t, "rpm", "-qp", "--scripts", packageOf(t, "rpm")))
	for _, want := range []string{"postinstall", "preuninstall", "postuninstall"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("no %s in the rpm", want)
		}
	}
}

// TestPackageShells has zsh and fish load their completion.
func TestPackageShells(t *testing.T) {
	t.Parallel()
	packageOf(t, "deb")
	dir := os.Getenv("GLANCEFS_PACKAGES")
	if got := string(run(t, "fish", "-c", "source "+dir+"/glancefs.fish; complete -C 'glancefs sta'")); !strings.HasPrefix(got, "status") {
		t.Errorf("fish completes sta with %q", got)
	}
	script := `fpath=($1 $fpath); autoload -U compinit; compinit -D -u; whence -w _glancefs; print $_comps[glancefs]
compadd() { print -l -- $choices }
words=(glancefs sta) CURRENT=2; _glancefs`
	completion, err := filepath.Abs("../docs/package/completion")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(run(t, "zsh", "-f", "-c", script, "zsh", completion))); !slices.Contains(got, "status") || !slices.Contains(got, "_glancefs") {
		t.Errorf("zsh completes sta with %q", got)
	}
}
