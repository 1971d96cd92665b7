package command

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestMountLine turns what mount(8) says into what glancefs is to do.
func TestMountLine(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // the command line, or what the error has
	}{
		{"glancefs#cloud /mnt", "--fsname=glancefs#cloud --os-cloud=cloud -- /mnt"},
		{"cloud /mnt -o rw,dev,suid", "--fsname=cloud --os-cloud=cloud -- /mnt"},
		{"glancefs#https://glance:9292 /mnt -o rw", "--fsname=glancefs#https://glance:9292 --endpoint=https://glance:9292 -- /mnt"},
		{"glancefs /mnt -o rw", "--fsname=glancefs -- /mnt"},
		{"glancefs# /mnt -o rw", "--fsname=glancefs# -- /mnt"},
		{"images /mnt -o os_cloud=cloud", "--fsname=images --os-cloud=cloud -- /mnt"},
		{"images /mnt -o endpoint=http://a:1/x", "--fsname=images --endpoint=http://a:1/x -- /mnt"},
		{"-n glancefs -v -t fuse.glancefs /mnt -o ro -o uid=64055,gid=1,cache_size=10%", "--fsname=glancefs --read-only --uid=64055 --gid=1 --cache-size=10% -- /mnt"},
		{"glancefs /mnt -o _netdev,nofail,noauto,user,x-systemd.requires=a=b,X-mount.mkdir,nosuid,nodev,noexec,defaults,noatime,comment=a,,allow_other", "--fsname=glancefs --allow-other -- /mnt"},
		{"glancefs /mnt -s -o allow_other,whatever=5", "--fsname=glancefs --allow-other -- /mnt"},
		{"glancefs /mnt -f -o allow_other", ""},
		{"glancefs /mnt -o cache_sise=5,allow_other,remount", "unknown mount options: cache_sise=5, remount"},
		{"glancefs /mnt -o detach", "unknown mount options: detach"},
		{"glancefs /mnt -o uid", "uid needs a value"},
		{"glancefs /mnt -o ro=1", "ro=1 takes no value"},
		{"glancefs /mnt -N 5", "-N"},
		{"glancefs /mnt -o", "-o needs a value"},
		{"/mnt", "SPEC DIR"},
		{"a b c", "SPEC DIR"},
	} {
		l, err := parseMountLine(strings.Fields(c.args))
		var got []string
		if err == nil {
			got, err = l.arguments(mountCommand().Flags)
		}
		switch line := strings.TrimPrefix(strings.Join(got, " "), "mount --background "); {
		case err != nil && (!strings.Contains(err.Error(), c.want) || c.want == ""):
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		case err == nil && line != c.want:
			t.Errorf("%s: %q, want %q", c.args, line, c.want)
		}
	}
}

// TestCalledByMount tells mount(8) from people. A cloud may be called as a
// command is.
func TestCalledByMount(t *testing.T) {
	for line, want := range map[string]bool{
		"/sbin/mount.glancefs a /mnt":             true,
		"/sbin/mount.fuse.glancefs a /mnt -o rw":  true,
		"glancefs demo /mnt -o rw,dev,suid":       true,
		"glancefs glancefs#a /mnt -o rw,dev,suid": true,
		"glancefs mount /mnt":                     false,
		"glancefs":                                false,
		"glancefs warm /mnt a b":                  false,
	} {
		if got := calledByMount(strings.Fields(line)); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// TestWrongMountLine wants a line that names what was wrong.
func TestWrongMountLine(t *testing.T) {
	var stderr bytes.Buffer
	args := []string{"/sbin/mount.glancefs", "glancefs#cloud", t.TempDir(), "-o", "rw,colour=red"}
	status := Run(t.Context(), "devel", args, &stderr, &stderr)
	if status != exitUsage || !slices.Equal(strings.Split(stderr.String(), "\n"), []string{"glancefs: unknown mount options: colour=red", ""}) {
		t.Errorf("status %d, %q", status, &stderr)
	}
}
