package metadata

import (
	"encoding/json"
	"errors"
	iofs "io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancefs/glanceapi"
)

// described is a meta.json as it is read.
const described = `{"id": "1", "name": "disk", "status": "active", "visibility": "private", "is_public": false, "protected": false,
	"hidden": false, "owner": null, "size": 5, "disk_format": "raw", "container_format": "bare", "min_disk": 0, "min_ram": 64,
	"tags": ["a", "b"], "updated_at": "2026-01-02T03:04:05Z", "properties": {"os": "debian", "arch": "x86"}}`

func documentOf(t *testing.T, text string) Document {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSince(t *testing.T) {
	old := documentOf(t, described)
	for name, c := range map[string]struct {
		text string
		want glanceapi.Change
	}{
		"nothing":            {described, glanceapi.Change{}},
		"no keys":            {`{}`, glanceapi.Change{}},
		"other spelling":     {`{"tags": [ "a","\u0062" ], "min_ram": 64.0, "properties": {"arch":"x86", "os":"\u0064ebian"}}`, glanceapi.Change{}},
		"a name":             {`{"name": "new"}`, glanceapi.Change{Name: new("new")}},
		"no name":            {`{"name": null}`, glanceapi.Change{Name: new("")}},
		"a flag":             {`{"protected": true, "hidden": false}`, glanceapi.Change{Protected: new(true)}},
		"a number":           {`{"min_disk": 3}`, glanceapi.Change{MinDisk: new(int64(3))}},
		"tags":               {`{"tags": ["b"]}`, glanceapi.Change{Tags: &[]string{"b"}}},
		"no tags":            {`{"tags": []}`, glanceapi.Change{Tags: &[]string{}}},
		"public":             {`{"is_public": true}`, glanceapi.Change{Visibility: new("public")}},
		"public, said twice": {`{"is_public": true, "visibility": "public"}`, glanceapi.Change{Visibility: new("public")}},
		"visibility":         {`{"visibility": "community"}`, glanceapi.Change{Visibility: new("community")}},
		"a property more":    {`{"properties": {"os": "debian", "arch": "x86", "v": "1"}}`, glanceapi.Change{Set: map[string]string{"v": "1"}}},
		"a property less":    {`{"properties": {"os": "fedora"}}`, glanceapi.Change{Set: map[string]string{"os": "fedora"}, Unset: []string{"arch"}}},
		"a null property":    {`{"properties": {"os": "debian", "arch": null, "none": null}}`, glanceapi.Change{Unset: []string{"arch"}}},
		"no properties":      {`{"properties": {}}`, glanceapi.Change{Unset: []string{"arch", "os"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := documentOf(t, c.text).Since(old)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	for _, text := range []string{
		`{"id": "2"}`, `{"status": "queued"}`, `{"size": 6}`, `{"created_at": "2026-01-01T00:00:00Z"}`, `{"nosuch": 1}`,
		`{"name": 1}`, `{"protected": "true"}`, `{"protected": null}`, `{"tags": "a"}`, `{"tags": null}`, `{"min_disk": -1}`,
		`{"min_disk": 1.5}`, `{"min_disk": 1e99}`, `{"properties": null}`, `{"properties": []}`, `{"properties": {"n": 1}}`,
		`{"is_public": true, "visibility": "shared"}`, `{"is_public": null}`,
	} {
		if ch, err := documentOf(t, text).Since(old); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%s: %+v, %v", text, ch, err)
		}
	}
}

// TestSinceHalf: what only one of is_public and visibility says is what is meant,
// whatever the other has from before.
func TestSinceHalf(t *testing.T) {
	d := documentOf(t, described)
	d["is_public"] = json.RawMessage("true")
	if ch, err := d.Since(documentOf(t, described)); err != nil || ch.Visibility == nil || *ch.Visibility != "public" {
		t.Errorf("%+v, %v", ch, err)
	}
}

// TestSinceOfService: who writes properties of one's own takes none from the
// service, which would not give them.
func TestSinceOfService(t *testing.T) {
	old := documentOf(t, `{"properties": {"os": "debian", "stores": "fast", "os_glance_failed_import": ""}}`)
	want := glanceapi.Change{Set: map[string]string{"v": "1"}, Unset: []string{"os"}}
	got, err := documentOf(t, `{"properties": {"v": "1"}}`).Since(old)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAttributeChange(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       glanceapi.Change
	}{
		{"name", "new", glanceapi.Change{Name: new("new")}},
		{"tags", "b,a", glanceapi.Change{Tags: &[]string{"b", "a"}}},
		{"tags", "", glanceapi.Change{Tags: &[]string{}}},
		{"protected", " true\n", glanceapi.Change{Protected: new(true)}},
		{"min_ram", "5", glanceapi.Change{MinRAM: new(int64(5))}},
		{"is_public", "false", glanceapi.Change{Visibility: new("private")}},
		{"os_distro", "true", glanceapi.Change{Set: map[string]string{"os_distro": "true"}}},
	} {
		got, err := AttrChange(c.key, c.value)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s=%s: %v\n%s", c.key, c.value, err, diff)
		}
	}
	for key, value := range map[string]string{"size": "1", "id": "1", "protected": "perhaps", "min_ram": "many", "hidden": "", "name": "\xff", "tags": "a,\xff", "os_\xff": "x", "os": "\xff"} {
		if ch, err := AttrChange(key, value); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%s=%s: %+v, %v", key, value, ch, err)
		}
	}
	if got, err := AttrRemoval("os_distro"); err != nil || len(got.Unset) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, key := range []string{"protected", "size", "visibility"} {
		if ch, err := AttrRemoval(key); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%s removed: %+v, %v", key, ch, err)
		}
	}
}

// FuzzSince: whatever is written to meta.json, it is refused as invalid or is a
// change; and what says the same as before is none.
func FuzzSince(f *testing.F) {
	f.Add([]byte(described), []byte(`{"name": "new", "properties": {"os": null, "v": "1"}, "tags": []}`))
	f.Add([]byte(`{"properties": {"a": "1"}}`), []byte(`{"properties": {"b": "1"}, "is_public": true}`))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		old, err := Parse(before)
		if err != nil {
			return
		}
		if n := old.differences(old); n != 0 {
			t.Fatalf("%d differences from itself", n)
		}
		if ch, err := old.Since(old); err != nil || !ch.IsZero() {
			t.Fatalf("a change from itself: %+v, %v", ch, err)
		}
		d, err := Parse(after)
		if err == nil {
			_, err = d.Since(old)
		}
		if err != nil && !errors.Is(err, iofs.ErrInvalid) {
			t.Fatal(err)
		}
	})
}
