package fs

import (
	"context"
	"errors"
	"os"
	"testing"

	"glancefs/fs/disk"
	"glancefs/fs/publish"
	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

// TestNameTaken has the name that a draft is to get taken by another meanwhile:
// that one keeps it.
func TestNameTaken(t *testing.T) {
	s := glancetest.New(t)
	in := incomingOf(t, s, nil)
	write := func(name string) *draft {
		d, f, err := in.create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.Write([]byte(name))
		return d
	}
	for _, removed := range []bool{false, true} {
		s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.Hang})
		first := write(".first")
		u, err := in.start(first, &upload{name: "name"})
		if err != nil {
			t.Fatal(err)
		}
		if removed {
			if err := in.remove(".first"); err != nil {
				t.Fatal(err)
			}
		}
		second := write("name")
		s.SetFaults()
		if err := u.wait(t.Context()); (err != nil) != removed || removed && !errors.Is(err, errDiscarded) {
			t.Errorf("%v", err)
		}
		if d, _, _ := in.find("name"); d != second {
			t.Errorf("the name is that of %v", d)
		}
		if got, err := os.ReadFile(second.path()); err != nil || string(got) != "name" {
			t.Errorf("%q, %v", got, err)
		}
		if d, link, ok := in.find(".first"); ok {
			t.Errorf("%v, %v", d, link)
		}
		if err := in.remove("name"); err != nil {
			t.Error(err)
		}
	}
	in.stop()
	if left, _ := os.ReadDir(in.dir); len(left) != 0 {
		t.Errorf("left on the disk: %v", left)
	}
}

// TestDamagedWhileStopped: that the disk has lost bytes is known from then on, also if
// the upload that was told so was ended at the same moment, until they are written anew.
func TestDamagedWhileStopped(t *testing.T) {
	in := incomingOf(t, glancetest.New(t), nil)
	d, f, err := in.create("name")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	u, err := in.begin(d, &upload{name: "name"}, func(_ context.Context, u *upload, _ *publish.Spool) (glanceapi.Image, error) {
		u.cancel(errStopped)
		return glanceapi.Image{}, disk.ErrDamaged
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.wait(t.Context()); !errors.Is(err, disk.ErrDamaged) {
		t.Errorf("it ended with %v", err)
	}
	kept := func(damaged bool) {
		t.Helper()
		kept := newDraft(in.dir, d.id, about{})
		if _, err := kept.recall(); err != nil || kept.known().Damaged != damaged {
			t.Errorf("what is kept: %+v, %v", kept.known(), err)
		}
	}
	kept(true)
	if f, err = d.openFile(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := &opening{draft: d, in: in, file: f, writes: true}
	if err := errors.Join(o.truncate(1), o.truncate(0)); err != nil {
		t.Fatal(err)
	}
	kept(false)
}
