package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// The ways in which programs change a file: $KEY of $META, whose directory is
// $DIR, is to be new. Each leaves it to the mount to see what was changed.
var editors = map[string]string{
	"in place": `exec python3 -c '
import json, os
meta = os.environ["META"]
doc = json.load(open(meta))
doc["properties"][os.environ["KEY"]] = "new"
with open(meta, "w") as f: json.dump(doc, f)'`,
	"temporary file": `exec python3 -c '
import json, os
meta = os.environ["META"]
doc = json.load(open(meta))
doc["properties"][os.environ["KEY"]] = "new"
temp = meta + ".new-" + os.environ["KEY"]
with open(temp, "w") as f:
    json.dump(doc, f)
    f.flush()
    os.fsync(f.fileno())
os.replace(temp, meta)'`,
	"vim": `exec python3 -c '
import json, os
meta = os.environ["META"]
swap = os.open(meta + ".swp-" + os.environ["KEY"], os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
os.write(swap, b"b0VIM 9.0")
doc = json.load(open(meta))
doc["properties"][os.environ["KEY"]] = "new"
backup = meta + "-" + os.environ["KEY"] + "~"
os.rename(meta, backup)
f = os.open(meta, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
os.write(f, json.dumps(doc, indent=2).encode() + b"\n")
os.fsync(f)
os.close(f)
os.unlink(backup)
os.close(swap)
os.unlink(meta + ".swp-" + os.environ["KEY"])'`,
	"sed -i":   `exec sed -i "s/\"$KEY\": \"old\"/\"$KEY\": \"new\"/" "$META"`,
	"jq > f":   `exec jq ".properties.$KEY = \"new\"" "$META" >"$META"`,
	"jq, cp":   `jq ".properties.$KEY = \"new\"" "$META" >"$TMP/$KEY" && cp "$TMP/$KEY" "$META"`,
	"jq, mv":   `jq ".properties.$KEY = \"new\"" "$META" >"$DIR/.$KEY" && mv "$DIR/.$KEY" "$META"`,
	"setfattr": `exec setfattr -n user.glance.$KEY -v new "$DIR"`,
}

// threads is one process that changes keys t0 to t7 at once.
const threads = `
import json, os, threading
meta = os.environ["META"]
failed = []
def change(key):
    try:
        doc = json.load(open(meta))
        doc["properties"][key] = "new"
        with open(meta, "w") as f: json.dump(doc, f)
    except Exception as e:
        failed.append(e)
all = [threading.Thread(target=change, args=("t%d" % i,)) for i in range(8)]
for t in all: t.start()
for t in all: t.join()
if failed: raise failed[0]`

// TestEditors has many programs change one image at once, each in its way and each
// something else. All of it is there in the end, and nothing else is different.
func TestEditors(t *testing.T) {
	t.Parallel()
	t.Run("Glance", func(t *testing.T) {
		t.Parallel()
		source, _ := noiseFile(t, 1000)
		g := started(t, noauth)
		editAtOnce(t, g.URL, g.Upload(t, "", "many-editors", source))
	})
	for name, release := range map[string]server.Release{"Diablo": server.Diablo, "Queens": server.Queens} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			s.Images.Release = release
			editAtOnce(t, s.URL, s.Add(t, "many-editors", []byte("x")), "--api-version", "v1")
		})
	}
}

func editAtOnce(t *testing.T, endpoint, id string, flags ...string) {
	m := mount(t, append(flags, "--endpoint", endpoint)...)
	dir := filepath.Join(m.Dir, "images", id)
	meta := filepath.Join(dir, "meta.json")
	want := map[string]string{"kept": "é \"kept\""}
	keys := map[string]string{} // the editor of each
	for name := range editors {
		for range 3 {
			keys[fmt.Sprintf("key_%d", len(keys))] = name
		}
	}
	for key := range keys {
		want[key] = "old"
	}
	for i := range 8 {
		want[fmt.Sprintf("t%d", i)] = "old"
	}
	begin, err := json.Marshal(object{"properties": want})
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	if err := os.WriteFile(filepath.Join(tmp, "begin"), begin, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "cp", filepath.Join(tmp, "begin"), meta)

	env := []string{"META=" + meta, "DIR=" + dir, "TMP=" + tmp}
	var writers sync.WaitGroup
	for key, name := range keys {
		writers.Go(func() {
			if _, err := try(append(env, "KEY="+key), "sh", "-c", editors[name]); err != nil {
				t.Errorf("%s, %s: %v", name, key, err)
			}
		})
		want[key] = "new"
	}
	writers.Go(func() {
		if _, err := try(env, "python3", "-c", threads); err != nil {
			t.Error(err)
		}
	})
	// Two programs of one parent, which does both itself: others of its children
	// have read the file, too.
	for i := range 3 {
		key := fmt.Sprintf("own_%d", i)
		writers.Go(func() {
			doc, err := try(nil, "jq", `.properties.`+key+` = "new"`, meta)
			if err == nil {
				err = os.WriteFile(filepath.Join(tmp, key), doc, 0o644)
			}
			if err == nil {
				_, err = try(nil, "cp", filepath.Join(tmp, key), meta)
			}
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
		want[key] = "new"
	}
	writers.Wait()
	for i := range 8 {
		want[fmt.Sprintf("t%d", i)] = "new"
	}

	for what, text := range map[string][]byte{"this mount": run(t, "cat", meta), "another": anotherMount(t, endpoint, id, flags)} {
		var got struct{ Properties map[string]string }
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got.Properties, want) {
			for key, value := range want {
				if got.Properties[key] != value {
					t.Errorf("%s: %s (%s) is %q", what, key, keys[key], got.Properties[key])
				}
			}
		}
	}
	if list := strings.Fields(string(run(t, "ls", "-A", dir))); len(list) != 4 {
		t.Errorf("left beside it: %q", list)
	}
}

// anotherMount reads an image's meta.json by a mount of its own.
func anotherMount(t *testing.T, endpoint, id string, flags []string) []byte {
	m := mount(t, append(flags, "--endpoint", endpoint)...)
	return run(t, "cat", filepath.Join(m.Dir, "images", id, "meta.json"))
}
