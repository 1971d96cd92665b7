package integration

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
	ambiguous(t, filepath.Join(d.Dir, "by-name/twice/data"))
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
		"reserved": {`{"properties": {"deleted": "y"}}`, "Permission denied", "deleted"},
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

	// What is refused is told of incoming/, there being no draft.
	sidecar := filepath.Join(d.incoming, "refused.meta.json")
	run(t, "sh", "-c", `echo '{"store": "nosuch"}' >"$1"`, "sh", sidecar)
	if _, err := try(nil, "mkdir", filepath.Join(d.incoming, "refused")); err == nil || !strings.Contains(err.Error(), "Invalid argument") {
		t.Errorf("an image is reserved in a store that is not there: %v", err)
	}
	if why := reason(t, d.incoming); !strings.Contains(why, "nosuch") {
		t.Errorf("the reason given is %q", why)
	}
	none(t, d.endpoint, d.token, "refused")
	run(t, "rm", sidecar)

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
