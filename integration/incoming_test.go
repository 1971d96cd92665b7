package integration

import (
	"crypto/sha512"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// found is an image as the service tells of it.
type found struct {
	ID, Name, Status, Visibility, Checksum string
	Size, VirtualSize                      int64
	DiskFormat                             string `json:"disk_format"`
	ContainerFormat                        string `json:"container_format"`
	HashValue                              string `json:"os_hash_value"`
	Properties                             map[string]any
}

// named returns the images of a name that a service has, whatever their state.
func named(tb testing.TB, endpoint, token, name string) []found {
	tb.Helper()
	r, err := http.NewRequest("GET", endpoint+"/v2/images?name="+url.QueryEscape("eq:"+name), nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	var list struct{ Images []found }
	if _, err := answer(r, &list); err != nil {
		tb.Fatal(err)
	}
	return list.Images
}

// one returns the only image of a name, which must be active.
func one(tb testing.TB, endpoint, token, name string) found {
	tb.Helper()
	all := named(tb, endpoint, token, name)
	if len(all) != 1 || all[0].Status != "active" {
		tb.Fatalf("%d images called %q, want one that is active: %+v", len(all), name, all)
	}
	return all[0]
}

// none fails if there is any image of a name.
func none(tb testing.TB, endpoint, token, name string) {
	tb.Helper()
	if all := named(tb, endpoint, token, name); len(all) != 0 {
		tb.Errorf("images are left behind: %+v", all)
	}
}

// A demo is a mount of the project demo of a Glance with Keystone.
type demo struct {
	*Mount
	endpoint, token string
	incoming        string
}

func mountDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	c := started(t, keystone)
	token, err := c.token("demo", "demo")
	if err != nil {
		t.Fatal(err)
	}
	m := mountEnv(t, []string{"OS_CLIENT_CONFIG_FILE=" + c.Config}, append([]string{"--os-cloud", "demo"}, args...)...)
	return &demo{m, c.Glance.URL, token, filepath.Join(m.Dir, "incoming")}
}

// becomes fails unless what is in incoming/ under a name has become one image
// with these bytes, to which the name is a link, and which is read back without
// asking for data.
func (d *demo) becomes(t *testing.T, name, format string, want []byte) found {
	t.Helper()
	img := one(t, d.endpoint, d.token, name)
	if img.Size != int64(len(want)) || img.HashValue != fmt.Sprintf("%x", sha512.Sum512(want)) {
		t.Errorf("%s: %d bytes with the sha512 %.12s…, want %d with %.12x…", name, img.Size, img.HashValue, len(want), sha512.Sum512(want))
	}
	if img.DiskFormat != format || img.ContainerFormat != "bare" || img.Visibility != "private" {
		t.Errorf("%s: %s, %s, %s", name, img.DiskFormat, img.ContainerFormat, img.Visibility)
	}
	path := filepath.Join(d.incoming, name)
	if to, want := strings.TrimSpace(string(run(t, "readlink", path))), "../images/"+img.ID+"/data"; to != want {
		t.Errorf("%s is a link to %s, want %s", name, to, want)
	}
	before := d.Stats(t, "glancefs_fetched_bytes_total")
	sha512sum(t, path, want)
	sha512sum(t, filepath.Join(d.Dir, "by-name", name, "data"), want)
	if after := d.Stats(t, "glancefs_fetched_bytes_total"); after != before {
		t.Errorf("%s: %v bytes were fetched to read it back", name, after-before)
	}
	return img
}

// TestWriters makes images with the programs that people copy files with.
func TestWriters(t *testing.T) {
	t.Parallel()
	d := mountDemo(t)
	source, data := noiseFile(t, 4<<20+777)
	dir := filepath.Dir(source)
	script := func(lines string) string { return `set -e; cd "$1"; out="$2"; ` + lines }
	// A disk with a hole in the middle and one at its end.
	run(t, "sh", "-c", `cd "$1"; cp disk.raw holes.raw; truncate -s 6M holes.raw; fallocate -p -o 1M -l 2M holes.raw`, "sh", dir)
	holes, err := os.ReadFile(filepath.Join(dir, "holes.raw"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		how  string
		want []byte
	}{
		"cp":              {`cp disk.raw "$out"`, data},
		"cp sparse":       {`cp --sparse=always holes.raw "$out"`, holes},
		"cat":             {`cat disk.raw >"$out"`, data},
		"two":             {`(head -c 1000000 disk.raw; tail -c +1000001 disk.raw) >"$out"`, data},
		"dd 1M":           {`dd if=disk.raw of="$out" bs=1M status=none`, data},
		"dd 777":          {`dd if=disk.raw of="$out" bs=777 count=3000 status=none`, data[:777*3000]},
		"dd fsync":        {`dd if=disk.raw of="$out" bs=1M status=none conv=fsync`, data},
		"rsync":           {`rsync disk.raw "$out"`, data},
		"rsync -a":        {`rsync -a disk.raw "$out"`, data},
		"rsync -aX":       {`rsync -aHAX disk.raw "$out"`, data},
		"rsync inplace":   {`rsync --inplace disk.raw "$out"`, data},
		"rsync -a -in":    {`chmod 640 disk.raw; rsync -a --inplace disk.raw "$out"`, data},
		"curl":            {`curl -sS -o "$out" "file://$PWD/disk.raw"`, data},
		"install":         {`install -m 644 disk.raw "$out"`, data},
		"cp -p":           {`cp -p disk.raw "$out"`, data},
		"cp -a":           {`cp -a disk.raw "$out"`, data},
		"tee":             {`tee "$out" <disk.raw >/dev/null`, data},
		"python copyfile": {`python3 -c 'import shutil, sys; shutil.copyfile("disk.raw", sys.argv[1])' "$out"`, data},
		"mv":              {`cp disk.raw away.raw; mv away.raw "$out"`, data},
		"empty":           {`: >"$out"; mv "$out" "${out%/*}/.e"; mv "${out%/*}/.e" "$out"`, nil},
		"names: 语 \"%\\ ": {`cp disk.raw "$out"`, data},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, "sh", "-c", script(c.how), "sh", dir, filepath.Join(d.incoming, name))
			if name == "names: 语 \"%\\ " {
				one(t, d.endpoint, d.token, name)
				return
			}
			d.becomes(t, name, "raw", c.want)
		})
	}
	t.Run("a program that writes blocks in random order", func(t *testing.T) {
		run(t, "python3", "-c", `
import os, random, sys
source, to = sys.argv[1:]
data = open(source, "rb").read()
blocks = list(range(0, len(data), 70_001))
random.Random(1).shuffle(blocks)
fd = os.open(to, os.O_RDWR | os.O_CREAT)
for off in blocks:
    os.pwrite(fd, data[off:off + 70_001], off)
os.close(fd)`, source, filepath.Join(d.incoming, "random"))
		d.becomes(t, "random", "raw", data)
	})
	t.Run("rsync of a directory", func(t *testing.T) {
		five := t.TempDir()
		for i := range 5 {
			if err := os.WriteFile(fmt.Sprintf("%s/five-%d", five, i), noise(t.Name(), 100_000+i), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		run(t, "rsync", "-a", five+"/", d.incoming)
		for i := range 5 {
			d.becomes(t, fmt.Sprint("five-", i), "raw", noise(t.Name(), 100_000+i))
		}
	})
}

// TestFormats makes images with qemu-img, which opens and closes what it makes
// several times, and of files that it has made.
func TestFormats(t *testing.T) {
	t.Parallel()
	d := mountDemo(t)
	source, _ := noiseFile(t, 10<<20)
	for disk, format := range map[string]string{
		"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhdx": "vhdx", "vpc": "vhd", "parallels": "ploop",
	} {
		t.Run(disk, func(t *testing.T) {
			to := filepath.Join(d.incoming, "convert."+disk)
			run(t, "qemu-img", "convert", "-f", "raw", "-O", disk, source, to)
			// A vpc's size is a whole number of cylinders.
			run(t, "sh", "-c", `qemu-img compare -q -f raw -F "$3" "$1" "$2" || cmp -n $(stat -c %s "$1") "$1" "$2"`, "sh", source, to, disk)
			made := one(t, d.endpoint, d.token, "convert."+disk)
			if made.DiskFormat != format {
				t.Errorf("a %s made by qemu-img is taken for %s", disk, made.DiskFormat)
			}
			file := filepath.Join(filepath.Dir(source), "empty."+disk)
			run(t, "qemu-img", "create", "-q", "-f", disk, file, "5M")
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			run(t, "cp", "--sparse=never", file, filepath.Join(d.incoming, "empty."+disk))
			d.becomes(t, "empty."+disk, format, data)
		})
	}
	const key = "--object secret,id=key,data=secret"
	for name, how := range map[string]struct{ to, compare string }{
		"luks":  {key + " -O luks -o key-secret=key,iter-time=10", key + ` --image-opts driver=raw,file.filename="$1" driver=luks,key-secret=key,file.driver=file,file.filename="$2"`},
		"fixed": {"-O vdi -o static=on", `-f raw -F vdi "$1" "$2"`},
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(d.incoming, "ready."+name)
			// qemu-img measures how fast it derives a key, and gives up if it
			// does not get enough of the processor meanwhile.
			run(t, "sh", "-c", `
				until why=$(qemu-img convert -f raw `+how.to+` "$1" "$2" 2>&1); do
					case $why in *'accurate CPU usage'*) ;; *) echo "$why" >&2; exit 1; esac
				done
				qemu-img compare -q `+how.compare, "sh", source, to)
			one(t, d.endpoint, d.token, "ready."+name)
		})
	}
	t.Run("virtual size", func(t *testing.T) {
		draft := filepath.Join(d.incoming, ".draft")
		run(t, "cp", filepath.Join(filepath.Dir(source), "empty.qcow2"), draft)
		attr := func(name string) string {
			return string(run(t, "getfattr", "--absolute-names", "--only-values", "-n", "user.glance."+name, draft))
		}
		if disk, size := attr("disk_format"), attr("virtual_size"); disk != "qcow2" || size != fmt.Sprint(5<<20) {
			t.Errorf("the draft is a %s of %s bytes", disk, size)
		}
	})
	t.Run("a backing file", func(t *testing.T) {
		file := filepath.Join(filepath.Dir(source), "overlay.qcow2")
		run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", source, "-F", "raw", file)
		_, err := try(nil, "cp", file, filepath.Join(d.incoming, "overlay"))
		if err == nil || !strings.Contains(err.Error(), "Invalid argument") {
			t.Errorf("it is taken: %v", err)
		}
		none(t, d.endpoint, d.token, "overlay")
		if why := reason(t, filepath.Join(d.incoming, "overlay")); !strings.Contains(why, "backing file") {
			t.Errorf("the reason given is %q", why)
		}
	})
}

// reason is why a draft is no image, as who lists its attributes sees it.
func reason(tb testing.TB, path string) string {
	tb.Helper()
	out, err := try(nil, "getfattr", "--absolute-names", "--only-values", "-d", "-m", `^user\.glancefs\.error$`, path)
	if err != nil {
		tb.Error(err)
	}
	return string(out)
}
