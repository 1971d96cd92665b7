package integration

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
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

// reason is why a draft is no image.
func reason(tb testing.TB, path string) string {
	tb.Helper()
	out, err := try(nil, "getfattr", "--absolute-names", "--only-values", "-n", "user.glancefs.error", path)
	if err != nil {
		tb.Error(err)
	}
	return string(out)
}

// TestAfterwards sets what cp -p, touch and chmod set, before and after a draft
// becomes an image.
func TestAfterwards(t *testing.T) {
	t.Parallel()
	d := mountDemo(t)
	source, data := noiseFile(t, 100_000)
	run(t, "sh", "-c", `set -e; cd "$1"
		cp "$2" .draft
		for f in .draft afterwards; do
			touch -d 2001-02-03 $f; touch $f; chmod 600 $f; chown $(id -u):$(id -g) $f; sync $f; df $f >&2
			[ $f = afterwards ] || mv $f afterwards
		done
		test "$(stat -c %Y .)" -gt 0; ls -la >&2`, "sh", d.incoming, source)
	d.becomes(t, "afterwards", "raw", data)
	for _, c := range [][]string{{"truncate", "-s", "1"}, {"dd", "if=/dev/zero", "conv=notrunc", "count=1", "of="}} {
		last := len(c) - 1
		if c[last] == "of=" {
			c[last] += filepath.Join(d.incoming, "afterwards")
		} else {
			c = append(c, filepath.Join(d.incoming, "afterwards"))
		}
		if _, err := try(nil, c[0], c[1:]...); err == nil || !strings.Contains(err.Error(), "Operation not permitted") {
			t.Errorf("%v: %v", c, err)
		}
	}
	d.becomes(t, "afterwards", "raw", data)
	// A link is not the image.
	run(t, "rm", filepath.Join(d.incoming, "afterwards"))
	one(t, d.endpoint, d.token, "afterwards")
}

// TestTwice makes two images of one name.
func TestTwice(t *testing.T) {
	t.Parallel()
	d := mountDemo(t)
	source, _ := noiseFile(t, 100_000)
	to := filepath.Join(d.incoming, "twice")
	run(t, "cp", source, to)
	run(t, "cat", filepath.Join(d.Dir, "by-name/twice/meta.json"))
	run(t, "cp", "--remove-destination", source, to)
	if all := named(t, d.endpoint, d.token, "twice"); len(all) != 2 {
		t.Errorf("%d images", len(all))
	}
	if _, err := try(nil, "cat", filepath.Join(d.Dir, "by-name/twice/data")); err == nil || !strings.Contains(err.Error(), "not unique") {
		t.Errorf("by-name: %v", err)
	}
	run(t, "cmp", source, to)
	run(t, "rsync", source, to)
	if all := named(t, d.endpoint, d.token, "twice"); len(all) != 3 {
		t.Errorf("%d images", len(all))
	}
}

// TestMetadata says with sidecars and attributes what image is wanted.
func TestMetadata(t *testing.T) {
	t.Parallel()
	d := mountDemo(t)
	source, data := noiseFile(t, 100_000)
	dir := filepath.Dir(source)
	sidecar := func(name, text string) (err error) {
		file := filepath.Join(dir, name+".meta.json")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = try(nil, "cp", file, d.incoming)
		return err
	}
	const id = "5f0e1d2c-3b4a-4958-8776-655443322110"
	err := sidecar("full", `{"id": "`+id+`", "visibility": "community", "disk_format": "aki", "min_disk": 2, "min_ram": 64,
		"protected": true, "hidden": false, "tags": ["b", "a"], "size": 100000, "owner": null, "status": "active",
		"properties": {"os_distro": "debian", "语": "x/y"}}`)
	if err != nil {
		t.Fatal(err)
	}
	run(t, "cp", source, filepath.Join(d.incoming, "full"))
	meta := run(t, "jq", "-c", `[.id, .name, .visibility, .disk_format, .container_format, .min_disk, .min_ram, .protected, .tags, .properties]`,
		filepath.Join(d.Dir, "by-name/full/meta.json"))
	if want := `["` + id + `","full","community","aki","aki",2,64,true,["a","b"],{"os_distro":"debian","语":"x/y"}]` + "\n"; string(meta) != want {
		t.Errorf("made:\n%swant:\n%s", meta, want)
	}
	if list := string(run(t, "ls", d.incoming)); list != "full\n" {
		t.Errorf("left in incoming/: %q", list)
	}

	// Attributes, on the open file.
	run(t, "sh", "-c", `exec 3>"$1"; set -e
		setfattr -n user.glance.os_version -v 13 "$1"; setfattr -n user.glance.tags -v one,two "$1"
		setfattr -n user.glance.min_ram -v 5 "$1"; setfattr -x user.glance.min_ram "$1"
		! setfattr -n user.glance.min_disk -v much "$1" 2>/dev/null
		! setfattr -n user.other -v x "$1" 2>/dev/null
		cat "$2" >&3; exec 3>&-`, "sh", filepath.Join(d.incoming, "attributes"), source)
	meta = run(t, "jq", "-c", `[.min_ram, .tags, .properties]`, filepath.Join(d.Dir, "by-name/attributes/meta.json"))
	if want := `[0,["one","two"],{"os_version":"13"}]` + "\n"; string(meta) != want {
		t.Errorf("made:\n%swant:\n%s", meta, want)
	}

	for name, c := range map[string]struct{ text, errno, why string }{
		"same-id":  {`{"id": "` + id + `"}`, "File exists", id},
		"size":     {`{"size": 99999}`, "Invalid argument", "99999"},
		"md5":      {`{"checksum": "d41d8cd98f00b204e9800998ecf8427e"}`, "Invalid argument", "md5"},
		"sha":      {`{"hash_algo": "sha256", "hash_value": "00"}`, "Invalid argument", "sha256"},
		"store":    {`{"store": "nosuch"}`, "Invalid argument", "nosuch"},
		"format":   {`{"disk_format": "nosuch"}`, "Invalid argument", "nosuch"},
		"public":   {`{"visibility": "public"}`, "Permission denied", "publicize"},
		"reserved": {`{"properties": {"os_glance_x": "y"}}`, "Permission denied", "os_glance_x"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := sidecar(name, c.text); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(d.incoming, name)
			if _, err := try(nil, "cp", source, path); err == nil || !strings.Contains(err.Error(), c.errno) {
				t.Errorf("want %q: %v", c.errno, err)
			}
			if why := reason(t, path); !strings.Contains(why, c.why) {
				t.Errorf("the reason given is %q", why)
			}
			none(t, d.endpoint, d.token, name)
			run(t, "cmp", source, path)
			// The draft is there to try again.
			run(t, "rm", path+".meta.json")
			run(t, "mv", path, path+".part")
			run(t, "mv", path+".part", path)
			d.becomes(t, name, "raw", data)
		})
	}
	for _, bad := range []string{"", "{", "[]", "null", `{"name": 3}`, `{"nosuch": 1}`, `{"min_disk": -1}`, "{}x", `{"size": 1.5}`, "{\"name\": \"\xff\"}"} {
		if err := sidecar("bad", bad); bad != "" && (err == nil || !strings.Contains(err.Error(), "Invalid argument")) {
			t.Errorf("%q is taken: %v", bad, err)
		}
		run(t, "rm", filepath.Join(d.incoming, "bad.meta.json"))
	}
}

// TestReserve makes an image without data, and fills it later.
func TestReserve(t *testing.T) {
	t.Parallel()
	d := mountDemo(t)
	source, data := noiseFile(t, 3<<20)
	qcow2 := filepath.Join(filepath.Dir(source), "disk.qcow2")
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, qcow2)
	run(t, "mkdir", filepath.Join(d.incoming, "later"))
	all := named(t, d.endpoint, d.token, "later")
	if len(all) != 1 || all[0].Status != "queued" {
		t.Fatalf("%+v", all)
	}
	image := filepath.Join(d.Dir, "images", all[0].ID)
	if to := strings.TrimSpace(string(run(t, "readlink", filepath.Join(d.incoming, "later")))); to != "../images/"+all[0].ID {
		t.Errorf("it is a link to %s", to)
	}
	if stat := string(run(t, "stat", "-c", "%A %s", image+"/data")); stat != "-rw-r--r-- 0\n" {
		t.Errorf("its data is %q", stat)
	}
	run(t, "qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", qcow2, filepath.Join(d.incoming, "later/data"))
	img := one(t, d.endpoint, d.token, "later")
	if img.ID != all[0].ID || img.DiskFormat != "qcow2" {
		t.Errorf("%+v", img)
	}
	run(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, image+"/data")
	if _, err := try(nil, "cp", source, image+"/data"); err == nil || !strings.Contains(err.Error(), "Operation not permitted") {
		t.Errorf("filled again: %v", err)
	}

	// An image that another program has reserved, whose formats are set.
	other := object{"name": "others", "disk_format": "raw", "container_format": "bare"}
	body, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", d.endpoint+"/v2/images", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", d.token)
	r.Header.Set("Content-Type", "application/json")
	var queued found
	if _, err := answer(r, &queued); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(d.Dir, "images", queued.ID, "data")
	run(t, "sh", "-c", `cat "$1" >"$2"`, "sh", source, file)
	if img := one(t, d.endpoint, d.token, "others"); img.HashValue != fmt.Sprintf("%x", sha512.Sum512(data)) {
		t.Errorf("%+v", img)
	}
	sha512sum(t, file, data)
}
