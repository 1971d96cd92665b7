package glanceapi_test

import (
	"errors"
	"io/fs"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

func isPatch(r *http.Request) bool { return r.Method == http.MethodPatch }

// full is a queued image with something in every field.
func full(t *testing.T, c *glanceapi.Client) glanceapi.Image {
	t.Helper()
	i, err := c.Create(t.Context(), glanceapi.NewImage{
		Name: "before", DiskFormat: "raw", ContainerFormat: "bare", Owner: "me", MinDisk: 1, MinRAM: 2,
		Tags: []string{"a", "b"}, Properties: map[string]string{"keep": "1", "x/~1y": "2", "old": "3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestUpdate(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	for _, f := range []struct {
		name string
		ch   glanceapi.Change
		want func(*glanceapi.Image)
	}{
		{"nothing", glanceapi.Change{}, func(*glanceapi.Image) {}},
		{"name", glanceapi.Change{Name: new("ä\n")}, func(i *glanceapi.Image) { i.Name = "ä\n" }},
		{"no name", glanceapi.Change{Name: new("")}, func(i *glanceapi.Image) { i.Name = "" }},
		{"visibility", glanceapi.Change{Visibility: new("community")}, func(i *glanceapi.Image) { i.Visibility = "community" }},
		{"owner", glanceapi.Change{Owner: new("you")}, func(i *glanceapi.Image) { i.Owner = "you" }},
		{"formats", glanceapi.Change{DiskFormat: new("iso"), ContainerFormat: new("ovf")}, func(i *glanceapi.Image) { i.DiskFormat, i.ContainerFormat = "iso", "ovf" }},
		{"no formats", glanceapi.Change{DiskFormat: new(""), ContainerFormat: new("")}, func(i *glanceapi.Image) { i.DiskFormat, i.ContainerFormat = "", "" }},
		{"flags", glanceapi.Change{Protected: new(true), Hidden: new(true)}, func(i *glanceapi.Image) { i.Protected, i.Hidden = true, true }},
		{"minima", glanceapi.Change{MinDisk: new(int64(7)), MinRAM: new(int64(0))}, func(i *glanceapi.Image) { i.MinDisk, i.MinRAM = 7, 0 }},
		{"tags", glanceapi.Change{Tags: &[]string{"c", "b"}}, func(i *glanceapi.Image) { i.Tags = []string{"b", "c"} }},
		{"no tags", glanceapi.Change{Tags: new([]string(nil))}, func(i *glanceapi.Image) { i.Tags = nil }},
		{"properties", glanceapi.Change{Set: map[string]string{"new/~": "n", "x/~1y": ""}, Unset: []string{"old", "never"}}, func(i *glanceapi.Image) {
			i.Properties = map[string]string{"keep": "1", "x/~1y": "", "new/~": "n"}
		}},
		{"no properties", glanceapi.Change{Unset: []string{"keep", "x/~1y", "old"}}, func(i *glanceapi.Image) { i.Properties = nil }},
		{"what is not there", glanceapi.Change{Unset: []string{"never"}}, func(*glanceapi.Image) {}},
	} {
		want := full(t, c)
		f.want(&want)
		got, err := c.Update(t.Context(), want.ID, f.ch)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(glanceapi.Image{}, "UpdatedAt")); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", f.name, err, diff)
		}
		if now, err := c.Image(t.Context(), want.ID); err != nil || !cmp.Equal(now, got) {
			t.Errorf("%s: afterwards %+v, %v", f.name, now, err)
		}
	}
}

func TestUpdateRefused(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	active := s.Add(t, "one", []byte("x"), func(r *server.Record) { r.Properties = map[string]string{"k": "v"} })
	for _, f := range []struct {
		name string
		id   string
		ch   glanceapi.Change
		is   error
	}{
		{"a bad value", active, glanceapi.Change{Visibility: new("secret"), Name: new("changed")}, fs.ErrInvalid},
		{"a negative size", active, glanceapi.Change{MinDisk: new(int64(-1)), Name: new("changed")}, fs.ErrInvalid},
		{"a format too late", active, glanceapi.Change{DiskFormat: new("iso"), Name: new("changed")}, fs.ErrPermission},
		{"a field as a property", active, glanceapi.Change{Set: map[string]string{"status": "queued"}, Name: new("changed")}, fs.ErrInvalid},
		{"a field removed", active, glanceapi.Change{Unset: []string{"size"}, Name: new("changed")}, fs.ErrInvalid},
		{"a reserved property", active, glanceapi.Change{Set: map[string]string{"os_glance_x": "1"}, Name: new("changed")}, fs.ErrPermission},
		{"both ways", active, glanceapi.Change{Set: map[string]string{"k": "w"}, Unset: []string{"k"}}, fs.ErrInvalid},
		{"not UTF-8", active, glanceapi.Change{Name: new("\xff")}, fs.ErrInvalid},
		{"no such image", newID, glanceapi.Change{Name: new("x")}, fs.ErrNotExist},
		{"no such image, nothing to do", newID, glanceapi.Change{}, fs.ErrNotExist},
		{"not an id", "..", glanceapi.Change{Name: new("x")}, fs.ErrNotExist},
	} {
		if _, err := c.Update(t.Context(), f.id, f.ch); !errors.Is(err, f.is) {
			t.Errorf("%s: %v", f.name, err)
		}
	}
	if i, err := c.Image(t.Context(), active); err != nil || i.Name != "one" || i.Properties["k"] != "v" || i.DiskFormat != "raw" {
		t.Errorf("in the end: %+v, %v", i, err)
	}
}

// A change whose answer was lost is not refused the second time.
func TestUpdateAgain(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	i := full(t, c)
	s.SetFaults(glancetest.Fault{Match: isPatch, Break: glancetest.DropAnswer, Times: 1})
	i, err := c.Update(t.Context(), i.ID, glanceapi.Change{Name: new("after"), Set: map[string]string{"new": "1"}, Unset: []string{"old"}})
	if err != nil || i.Name != "after" || i.Properties["new"] != "1" || len(i.Properties) != 3 {
		t.Errorf("%+v, %v", i, err)
	}
}
