package fs

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"glancefs/cache"
	"glancefs/fs/metadata"
	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

// TestSpool reads as uploads do, in order, twice, and not to the end, and sums up
// the same.
func TestSpool(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde"), 20_000)
	path := filepath.Join(t.TempDir(), "data")
	leave(t, path, data)
	sha, md := sha512.Sum512(data), md5.Sum(data)
	for name, read := range map[string]func(*spool){
		"not at all": func(*spool) {},
		"in order": func(s *spool) {
			for off := int64(0); off < s.size; off += 7777 {
				s.ReadAt(make([]byte, 7777), off)
			}
		},
		"twice": func(s *spool) {
			s.ReadAt(make([]byte, 100_000), 0)
			for off := int64(0); off < s.size/2; off += 999 {
				s.ReadAt(make([]byte, 1999), off)
			}
		},
		"here and there": func(s *spool) {
			s.ReadAt(make([]byte, 10), 1000)
			s.ReadAt(make([]byte, 1000), 0)
			s.ReadAt(make([]byte, 10), s.size-5)
		},
	} {
		s, err := openSpool(path, metadata.DefaultHash)
		if err != nil {
			t.Fatal(err)
		}
		read(s)
		differs, err := s.matches(t.Context(),
			cache.Digest{Algo: "sha512", Value: hex.EncodeToString(sha[:])}, cache.Digest{Algo: "md5", Value: hex.EncodeToString(md[:])})
		if err != nil || differs != nil {
			t.Errorf("%s: %v, %v", name, differs, err)
		}
		if differs, _ := s.matches(t.Context(), cache.Digest{Algo: "sha256", Value: "00"}); differs == nil {
			t.Errorf("%s: it matches anything", name)
		}
		s.Close()
	}
}

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
		u, err := in.start(first, "name", 0)
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
	u, err := in.begin(d, &upload{name: "name"}, func(_ context.Context, u *upload, _ *spool) (glanceapi.Image, error) {
		u.cancel(errStopped)
		return glanceapi.Image{}, errDamaged
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.wait(t.Context()); !errors.Is(err, errDamaged) {
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
