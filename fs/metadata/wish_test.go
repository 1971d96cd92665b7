package metadata

import (
	"errors"
	iofs "io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancefs/cache"
	"glancefs/fs/diskformat"
	"glancefs/glanceapi"
)

// TestWish reads files of metadata, and fills in what they leave open.
func TestWish(t *testing.T) {
	qcow2 := diskformat.Format{Disk: "qcow2", Virtual: 5}
	for text, want := range map[string]glanceapi.NewImage{
		`{}`: {Name: "file", Visibility: "private", DiskFormat: "qcow2", ContainerFormat: "bare"},
		` {"name": null, "disk_format": null, "tags": null, "size": null, "status": "active", "virtual_size": 7, "created_at": "x"} `: {
			Name: "file", Visibility: "private", DiskFormat: "qcow2", ContainerFormat: "bare"},
		`{"name": "a/b", "is_public": true, "protected": true, "hidden": true, "owner": "p", "min_disk": 1, "min_ram": 2,
			"tags": ["x", "y"], "properties": {"name": "n"}, "store": "s", "id": "i", "disk_format": "raw", "container_format": "docker"}`: {
			ID: "i", Name: "a/b", Visibility: "public", Protected: true, Hidden: true, Owner: "p", MinDisk: 1, MinRAM: 2,
			Tags: []string{"x", "y"}, Properties: map[string]string{"name": "n"}, Store: "s", DiskFormat: "raw", ContainerFormat: "docker"},
		`{"properties": {"a": "b", "none": null, "stores": "fast,cheap", "os_glance_failed_import": ""}}`: {
			Name: "file", Visibility: "private", DiskFormat: "qcow2", ContainerFormat: "bare", Properties: map[string]string{"a": "b"}},
		`{"type": "kernel"}`:                                 {Name: "file", Visibility: "private", Type: "kernel"},
		`{"disk_format": "ari"}`:                             {Name: "file", Visibility: "private", DiskFormat: "ari", ContainerFormat: "ari"},
		`{"container_format": "ova"}`:                        {Name: "file", Visibility: "private", DiskFormat: "qcow2", ContainerFormat: "ova"},
		`{"visibility": "shared", "is_public": false}`:       {Name: "file", Visibility: "shared", DiskFormat: "qcow2", ContainerFormat: "bare"},
		`{"is_public": false, "disk_format": "raw"}`:         {Name: "file", Visibility: "private", DiskFormat: "raw", ContainerFormat: "bare"},
		`{"visibility": "public", "is_public": null}`:        {Name: "file", Visibility: "public", DiskFormat: "qcow2", ContainerFormat: "bare"},
		`{"name": "", "min_disk": 0, "hash_algo": "sha999"}`: {Name: "file", Visibility: "private", DiskFormat: "qcow2", ContainerFormat: "bare"},
	} {
		w := new(Wish)
		if err := w.Read(strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		w.Settle("file", qcow2)
		if diff := cmp.Diff(want, w.NewImage); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestWishRefused(t *testing.T) {
	for _, text := range []string{
		``, `{`, `[]`, `"x"`, `null`, `{} {}`, `{"nosuch": 1}`, `{"name": 1}`, `{"min_disk": "1"}`, `{"min_disk": -1}`, `{"min_ram": 1.5}`,
		`{"size": -1e3}`, `{"size": -1}`, `{"tags": "x"}`, `{"tags": [1]}`, `{"properties": {"x": 1}}`, `{"properties": []}`, `{"protected": "yes"}`,
		`{"visibility": "private", "is_public": true}`, `{"hash_algo": "sha999", "hash_value": "00"}`, "{\"name\": \"\xff\"}",
		`{"name": "` + strings.Repeat("x", MaxText) + `"}`,
	} {
		if err := new(Wish).Read(strings.NewReader(text)); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%.50q: %v", text, err)
		}
	}
}

// TestWishAttributes: an attribute is a key of meta.json, or else a property.
func TestWishAttributes(t *testing.T) {
	w := new(Wish)
	for key, value := range map[string]string{
		"name": "n", "min_disk": " 3 ", "protected": "true", "tags": "a,b,,c", "os_distro": "debian", "status": "whatever",
		"size": "5", "checksum": "AB", "hash_value": "CD", "properties": "p",
	} {
		if err := w.SetAttr(key, value); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	want := glanceapi.NewImage{Name: "n", MinDisk: 3, Protected: true, Tags: []string{"a", "b", "c"}, Properties: map[string]string{"os_distro": "debian", "properties": "p"}}
	if diff := cmp.Diff(want, w.NewImage); diff != "" || w.Size == nil || *w.Size != 5 {
		t.Errorf("%s, size %v", diff, w.Size)
	}
	if diff := cmp.Diff([]cache.Digest{{Algo: "md5", Value: "ab"}, {Algo: "sha512", Value: "cd"}}, w.Digests()); diff != "" {
		t.Error(diff)
	}
	for key, value := range map[string]string{"min_disk": "much", "protected": "yes", "size": ""} {
		if err := w.SetAttr(key, value); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
}
