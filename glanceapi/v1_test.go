package glanceapi_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// The tests in this file ask every release that speaks v1 the same.

var releases = []struct {
	name string
	r    server.Release
}{{"bexar", server.Bexar}, {"cactus", server.Cactus}, {"diablo", server.Diablo}, {"essex", server.Essex}, {"queens", server.Queens}}

func eachRelease(t *testing.T, test func(*testing.T, *glancetest.Server, server.Release)) {
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			s := glancetest.New(t)
			s.Images.Release = r.r
			test(t, s, r.r)
		})
	}
}

// clientV1 is a client of a project, an administrator.
func clientV1(t *testing.T, s *glancetest.Server, project string) *glanceapi.Client {
	t.Helper()
	c, err := glanceapi.New(t.Context(), glanceapi.Config{
		Endpoint: s.URL, Token: "u:" + project + ":member,admin", Timeout: 5 * time.Second, APIVersion: "v1",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestV1Found(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		for token, want := range map[string]string{"": "v1", "u:p:member": "v1"} {
			c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Token: token, APIVersion: "auto"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if r == server.Queens {
				want = "v2"
			}
			if c.Version() != want || c.Endpoint() != s.URL {
				t.Errorf("%s at %s", c.Version(), c.Endpoint())
			}
		}
	})
}

// An image as the document of 2011 makes it: created, filled, read.
func TestV1Image(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		c := clientV1(t, s, "p")
		n := glanceapi.NewImage{Name: "Ubuntu 10.10 5G", Visibility: "public", Type: "machine", Properties: map[string]string{"distro": "Ubuntu 10.10", "os_type": "linux"}}
		i, err := c.Create(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		want := glanceapi.Image{ID: i.ID, Name: n.Name, Status: "queued", Visibility: "public", Size: glanceapi.UnknownSize, VirtualSize: glanceapi.UnknownSize,
			DiskFormat: "ami", ContainerFormat: "ami", Properties: n.Properties}
		if r >= server.Diablo {
			want.Owner = "p"
		}
		times := cmpopts.IgnoreFields(glanceapi.Image{}, "CreatedAt", "UpdatedAt")
		if diff := cmp.Diff(want, i, times); diff != "" {
			t.Errorf("created: (-want +got)\n%s", diff)
		}
		if _, err := c.OpenData(t.Context(), i.ID, 0, 1, glanceapi.UnknownSize); err == nil || r >= server.Diablo && !errors.Is(err, glanceapi.ErrNoData) {
			t.Errorf("data before there is any: %v", err)
		}

		data := pattern(300_000)
		if err := c.Upload(t.Context(), i.ID, bytes.NewReader(data), int64(len(data)), glanceapi.UploadOptions{MD5: sumOf(data), Store: "file"}); err != nil {
			t.Fatal(err)
		}
		want.Status, want.Size = "active", int64(len(data))
		if r != server.Bexar {
			want.Checksum = sumOf(data)
		}
		i, err = c.Image(t.Context(), i.ID)
		if diff := cmp.Diff(want, i, times); err != nil || diff != "" {
			t.Errorf("filled: %v (-want +got)\n%s", err, diff)
		}
		for p, err := range c.Images(t.Context(), glanceapi.Query{}) {
			if err != nil || len(p.Images) > 1 || len(p.Images) == 1 && !cmp.Equal(i, p.Images[0]) {
				t.Errorf("listed: %v (-want +got)\n%s", err, cmp.Diff(i, p.Images))
			}
		}
		for _, off := range []int64{0, 100_000} {
			d, err := c.OpenData(t.Context(), i.ID, off, 10, i.Size)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(d.Body)
			d.Body.Close()
			if err != nil || d.Start != 0 || !bytes.Equal(got, data) {
				t.Errorf("data from %d: [%d, %d), %v", off, d.Start, d.End, err)
			}
		}
	})
}

// It is changed, and deleted. What is not named stays.
func TestV1Change(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		c := clientV1(t, s, "p")
		want, err := c.Create(t.Context(), glanceapi.NewImage{Name: "one", Visibility: "public", Type: "machine", Properties: map[string]string{"distro": "Ubuntu 10.10", "os_type": "linux"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Upload(t.Context(), want.ID, strings.NewReader("0123456789"), 10, glanceapi.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
		if want, err = c.Image(t.Context(), want.ID); err != nil {
			t.Fatal(err)
		}
		i, err := c.Update(t.Context(), want.ID, glanceapi.Change{Name: new("other"), Set: map[string]string{"arch": "x86_64", "distro": "Debian"}})
		want.Name, want.Properties = "other", map[string]string{"arch": "x86_64", "distro": "Debian", "os_type": "linux"}
		if diff := cmp.Diff(want, i, cmpopts.IgnoreFields(glanceapi.Image{}, "UpdatedAt")); err != nil || diff != "" {
			t.Errorf("changed: %v (-want +got)\n%s", err, diff)
		}
		i, err = c.Update(t.Context(), i.ID, glanceapi.Change{Unset: []string{"os_type", "never"}})
		if r == server.Bexar {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("a property removed: %v", err)
			}
		} else if delete(want.Properties, "os_type"); err != nil || !cmp.Equal(want.Properties, i.Properties) {
			t.Errorf("a property removed: %v, %v", err, i.Properties)
		}
		if i, err = c.Update(t.Context(), want.ID, glanceapi.Change{Visibility: new("private")}); err != nil || i.Visibility != "private" || i.Name != "other" {
			t.Errorf("made private: %v, %+v", err, i)
		}
		if i, err = c.Image(t.Context(), want.ID); err != nil || i.Visibility != "private" || !cmp.Equal(want.Properties, i.Properties) {
			t.Errorf("in the end: %v, %+v", err, i)
		}
		ch := glanceapi.Change{DiskFormat: new("qcow2"), ContainerFormat: new("bare")}
		i, err = c.Update(t.Context(), want.ID, ch)
		if r == server.Bexar { // has types, of which none is that
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("a format that it does not have: %v, %+v", err, i)
			}
			ch = glanceapi.Change{DiskFormat: new("raw"), ContainerFormat: new("bare")}
			i, err = c.Update(t.Context(), want.ID, ch)
		}
		if err != nil || i.DiskFormat != *ch.DiskFormat || i.ContainerFormat != *ch.ContainerFormat {
			t.Errorf("another format: %v, %+v", err, i)
		}

		if err := c.Delete(t.Context(), want.ID); err != nil {
			t.Error(err)
		}
		if _, err := c.Image(t.Context(), want.ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after its end: %v", err)
		}
		if err := c.Delete(t.Context(), want.ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("deleted again: %v", err)
		}
	})
}

func TestV1EmptyImage(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		c := clientV1(t, s, "p")
		id := create(t, c)
		if err := c.Upload(t.Context(), id, bytes.NewReader(nil), 0, glanceapi.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
		if i, err := c.Image(t.Context(), id); err != nil || i.Status != "active" || i.Size != 0 {
			t.Errorf("%+v, %v", i, err)
		}
	})
}

func TestV1Refused(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		c := clientV1(t, s, "p")
		taken := s.Add(t, "one", []byte("0123456789"))
		for _, f := range []struct {
			name string
			n    glanceapi.NewImage
			is   error
		}{
			{"an id twice", glanceapi.NewImage{ID: taken, Type: "raw"}, fs.ErrExist},
			{"an unknown format", glanceapi.NewImage{DiskFormat: "floppy", ContainerFormat: "bare"}, fs.ErrInvalid},
			{"a mix of formats", glanceapi.NewImage{DiskFormat: "ami", ContainerFormat: "bare"}, fs.ErrInvalid},
			{"an unknown type", glanceapi.NewImage{Type: "floppy"}, fs.ErrInvalid},
			{"tags", glanceapi.NewImage{Tags: []string{"a"}}, errors.ErrUnsupported},
			{"hidden", glanceapi.NewImage{Hidden: true}, errors.ErrUnsupported},
			{"community", glanceapi.NewImage{Visibility: "community"}, errors.ErrUnsupported},
			{"a bad visibility", glanceapi.NewImage{Visibility: "secret"}, fs.ErrInvalid},
			{"a line break", glanceapi.NewImage{Name: "a\nb"}, fs.ErrInvalid},
			{"blanks that would be lost", glanceapi.NewImage{Name: " a"}, fs.ErrInvalid},
			{"a key that would be changed", glanceapi.NewImage{Properties: map[string]string{"OS-Type": "x"}}, fs.ErrInvalid},
			{"a value that would be lost", glanceapi.NewImage{Properties: map[string]string{"os": ""}}, fs.ErrInvalid},
			{"text", glanceapi.NewImage{Name: "ä"}, fs.ErrInvalid},
		} {
			_, err := c.Create(t.Context(), f.n)
			bexarKnows := r == server.Bexar && (f.name == "an unknown format" || f.name == "a mix of formats") // no formats at all
			if fine := bexarKnows || f.name == "text" && r == server.Queens; fine && err != nil || !fine && !errors.Is(err, f.is) {
				t.Errorf("%s: %v", f.name, err)
			}
			if glanceapi.Temporary(err) {
				t.Errorf("%s: is it temporary? %v", f.name, err)
			}
		}
		data := bytes.NewReader(pattern(10))
		if err := c.Upload(t.Context(), taken, data, 10, glanceapi.UploadOptions{}); !errors.Is(err, glanceapi.ErrConflict) {
			t.Errorf("data for an active image: %v", err)
		}
		if err := c.Upload(t.Context(), create(t, c), data, 10, glanceapi.UploadOptions{Store: "nowhere"}); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("an unknown store: %v", err)
		}
		if err := c.Upload(t.Context(), create(t, c), data, 10, glanceapi.UploadOptions{MD5: sumOf(nil)}); r != server.Bexar && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("a wrong checksum: %v", err)
		}
		for _, ch := range []glanceapi.Change{{Tags: new([]string(nil))}, {Hidden: new(true)}, {Visibility: new("community")}} {
			if _, err := c.Update(t.Context(), taken, ch); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%+v: %v", ch, err)
			}
		}
		for _, id := range []string{"99", newID} {
			if _, err := c.Image(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("image %s: %v", id, err)
			}
		}
	})
}

// What a release does not know is refused, and what was done of it undone.
func TestV1Protected(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		c := clientV1(t, s, "p")
		_, err := c.Create(t.Context(), glanceapi.NewImage{Name: "safe", Protected: true, Type: "raw"})
		id := s.Add(t, "one", []byte("x"), ownedBy("p"))
		_, uerr := c.Update(t.Context(), id, glanceapi.Change{Protected: new(true), Name: new("two")})
		i, _ := c.Image(t.Context(), id)
		derr := c.Delete(t.Context(), id)
		if r >= server.Essex {
			if err != nil || uerr != nil || i.Name != "two" || !errors.Is(derr, glanceapi.ErrProtected) {
				t.Errorf("%v, %v, %v, %+v", err, uerr, derr, i)
			}
			return
		}
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(uerr, errors.ErrUnsupported) || i.Name != "one" || derr != nil {
			t.Errorf("%v, %v, %v, %+v", err, uerr, derr, i)
		}
		if all := names(t, c, glanceapi.Query{}); len(all) != 0 && r != server.Bexar { // which cannot delete an image without data
			t.Errorf("left behind: %q", all)
		}
	})
}

// Old releases make an active image of what came before a connection broke, if
// they were told a length. They are not.
func TestV1CutUpload(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		c := clientV1(t, s, "p")
		id := create(t, c)
		s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.CutUpload, After: 100_000})
		err := c.Upload(t.Context(), id, bytes.NewReader(pattern(200_000)), 200_000, glanceapi.UploadOptions{})
		if !glanceapi.Temporary(err) || !strings.Contains(err.Error(), "then: the image is killed") {
			t.Errorf("%v", err)
		}
		if i, err := c.Image(t.Context(), id); err != nil || i.Status != "killed" {
			t.Errorf("%+v, %v", i, err)
		}
		s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Garble: true})
		data := pattern(1000)
		err = c.Upload(t.Context(), create(t, c), bytes.NewReader(data), 1000, glanceapi.UploadOptions{MD5: sumOf(data)})
		if r != server.Bexar && (err == nil || glanceapi.Temporary(err)) {
			t.Errorf("other bytes than were sent: %v", err)
		}
	})
}
