package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
)

var asNobody = []string{"setpriv", fmt.Sprint("--reuid=", nobody), fmt.Sprint("--regid=", nobody), "--clear-groups"}

// shared makes a directory in which everybody may make files, as in /tmp.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch(), "shared")
	if err == nil {
		err = os.Chmod(dir, 0o777|os.ModeSticky)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// runNobody is try as nobody: root sees nothing of a user's mount.
func runNobody(name string, args ...string) ([]byte, error) {
	return try(nil, "setpriv", append(append(asNobody[1:len(asNobody):len(asNobody)], name), args...)...)
}

// TestUser mounts, reads, writes and unmounts as a user without privileges, by way
// of fusermount3. What the mount goes without is one line of the log.
func TestUser(t *testing.T) {
	t.Parallel()
	require(t)
	s := glancetest.New(t)
	source, data := noiseFile(t, 3<<20)
	id := s.Add(t, "disk", data)
	run(t, "chmod", "755", filepath.Dir(source), source)
	dir := shared(t)
	m, err := newMount([]string{"HOME=" + dir}, "--endpoint", s.URL, "--cache-dir", filepath.Join(dir, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.finish(t) })
	if err := os.Chown(m.Dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	m.as = asNobody
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // cold, and whole and verified
		if _, err := runNobody("cmp", source, filepath.Join(m.Dir, "images", id, "data")); err != nil {
			t.Error(err)
		}
	}
	if _, err := runNobody("cp", source, filepath.Join(m.Dir, "incoming/copy")); err != nil {
		t.Error(err)
	}
	if _, err := runNobody("cmp", source, filepath.Join(m.Dir, "by-name/copy/data")); err != nil {
		t.Error(err)
	}
	if _, err := try(nil, "ls", m.Dir); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("another user, even root, sees: %v", err)
	}
	m.says(t, "no passthrough of complete images; kernel read-ahead")
	if log := m.Stderr.String(); strings.Count(log, "lacks=") != 1 {
		t.Errorf("the log does not tell in one line what is lacking:\n%s", log)
	}
	if _, err := runNobody("glancefs", "status", m.Dir); err != nil {
		t.Error(err)
	}
	m.Stop(t)
	m.Again(t)
	m.Kill9(t)
	if _, err := runNobody("glancefs", "umount", m.Dir); err != nil {
		t.Error(err)
	}
	m.Again(t)
	if _, err := runNobody("glancefs", "umount", m.Dir); err != nil {
		t.Error(err)
	}
	if err := m.wait(); err != nil {
		t.Error(err)
	}
	checkPrivate(t, filepath.Join(dir, "cache"))
}

// checkPrivate looks at the modes in a cache directory.
func checkPrivate(t *testing.T, cache string) {
	t.Helper()
	for name, want := range map[string]os.FileMode{"blobs": 0o700, "drafts": 0o700, "lock": 0o600, "catalog.json": 0o600} {
		info, err := os.Lstat(filepath.Join(cache, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if out := string(run(t, "find", cache, "-mindepth", "1", "-perm", "/077")); out != "" {
		t.Errorf("others may use\n%s", out)
	}
}

// TestUserAllowOther: letting others in takes root's permission, and who asks
// without is told so.
func TestUserAllowOther(t *testing.T) {
	t.Parallel()
	require(t)
	s := glancetest.New(t)
	dir := shared(t)
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(mnt, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile("/etc/fuse.conf")
	if strings.Contains("\n"+string(text), "\nuser_allow_other") {
		t.Skip("it is allowed here")
	}
	_, err := runNobody("glancefs", "mount", "--endpoint", s.URL, "--cache-dir", filepath.Join(dir, "cache"), "--allow-other", mnt)
	if err == nil || !strings.Contains(err.Error(), "user_allow_other in /etc/fuse.conf") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if _, mounted := connection(mnt); mounted {
		t.Error("a mount is left")
	}
}

// TestUserRefused: where fusermount3 does not mount, its reason is told, in one line by
// a mount in the background.
func TestUserRefused(t *testing.T) {
	t.Parallel()
	require(t)
	s := glancetest.New(t)
	mnt := shared(t) // root's
	for _, flags := range [][]string{nil, {"--background"}} {
		args := append([]string{"mount", "--endpoint", s.URL, "--cache-dir", filepath.Join(shared(t), "cache")}, flags...)
		_, err := runNobody("glancefs", append(args, mnt)...)
		if err == nil || !strings.Contains(err.Error(), "fusermount3: mountpoint ") || flags != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", flags, err)
		}
	}
}

// TestPlanted has another user prepare a cache directory that everybody may write
// for its first mount. Nothing of that is followed, believed or used.
func TestPlanted(t *testing.T) {
	t.Parallel()
	require(t)
	s := glancetest.New(t)
	data := noise(t.Name(), 100_000)
	id := s.Add(t, "disk", data)
	for name, plant := range map[string]string{
		"a directory":        `mkdir -m 777 blobs`,
		"a link":             `mkdir d; ln -s d blobs`,
		"drafts":             `mkdir -m 777 drafts`,
		"a link of drafts":   `mkdir d; ln -s d drafts`,
		"a lock":             `touch lock; chmod 666 lock`,
		"a dangling link":    `ln -s d lock`,
		"what was known":     `echo '{"Format":2,"Account":"'$2'","Endpoint":"http://evil","Version":"v2","Listed":["evil"]}' >catalog.json; chmod 666 catalog.json`,
		"what will be known": `ln -s precious catalog.json; ln -s precious catalog.json.half; echo precious >precious; chmod 666 precious`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := shared(t)
			if out, err := runNobody("sh", "-ec", `cd "$1"; `+plant, "sh", dir, s.URL); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if !strings.HasPrefix(name, "what") {
				mnt := t.TempDir()
				line, err := refused(nil, "--endpoint", s.URL, "--cache-dir", dir, mnt)
				if err != nil || !strings.Contains(line, dir) {
					t.Errorf("%q, %v", line, err)
				}
				if strings.Contains(line, "permission denied") { // of the kernel's own (fs.protected_regular)
					return
				}
				if !strings.Contains(line, "belongs to user 65534, not to user 0") && !strings.Contains(line, "is a symbolic link") {
					t.Errorf("%q", line)
				}
				return
			}
			m := mount(t, "--endpoint", s.URL, "--cache-dir", dir)
			sha512sum(t, filepath.Join(m.Dir, "images", id, "data"), data)
			if out := string(run(t, "ls", filepath.Join(m.Dir, "images"))); out != id+"\n" {
				t.Errorf("listed: %q", out)
			}
			m.Stop(t) // and what is known is saved
			if text, err := os.ReadFile(filepath.Join(dir, "precious")); err == nil && string(text) != "precious\n" {
				t.Errorf("a file of somebody's was written: %.100q", text)
			}
			info, err := os.Lstat(filepath.Join(dir, "catalog.json"))
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
				t.Errorf("what is known: %v, %v", info, err)
			}
		})
	}
}
