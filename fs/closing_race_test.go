package fs

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// A meanwhile is the context of a request, in the midst of which, when who asks is looked
// up, something happens.
type meanwhile struct {
	context.Context
	happens func()
}

func (m *meanwhile) Value(key any) any {
	if happens := m.happens; happens != nil {
		m.happens = nil
		happens()
	}
	return m.Context.Value(key)
}

// openBy is an opening of a draft for writing by a process.
func openBy(t *testing.T, in *incoming, d *draft, f *os.File, process int) *opening {
	t.Helper()
	o := in.opening(d, f, syscall.O_WRONLY)
	o.opener = process
	if err := d.enter(process); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOvertakenWhileClosing has another process change a draft while the one that has
// written it closes it: nothing is made of bytes that are not those of who closes.
func TestOvertakenWhileClosing(t *testing.T) {
	s := glancetest.New(t)
	in := incomingOf(t, s, nil)
	const us, other = 10, 11
	for name, change := range map[string]func(*opening) error{
		"cut": func(o *opening) error { return o.truncate(0) },
		"written": func(o *opening) error {
			return o.change(func() error {
				_, err := o.file.WriteAt([]byte("B"), 0)
				return err
			})
		},
	} {
		d, f, err := in.create(name)
		if err != nil {
			t.Fatal(err)
		}
		o := openBy(t, in, d, f, us)
		if _, errno := o.Write(t.Context(), []byte("AA"), 0); errno != 0 {
			t.Fatal(errno)
		}
		ctx := &meanwhile{t.Context(), func() {
			f, err := d.openFile()
			if err != nil {
				t.Fatal(err)
			}
			if err := change(openBy(t, in, d, f, other)); err != nil {
				t.Error(err)
			}
		}}
		for range 2 { // the second is that of a copy of the descriptor
			if err := in.closed(ctx, o); !errors.Is(err, errOvertaken) {
				t.Errorf("%s: closing it: %v", name, err)
			}
		}
		if d, _, _ := in.find(name); d == nil || d.known().Error == "" {
			t.Errorf("%s: the draft is %+v", name, d)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestCleared has a process begin anew what another has written, and make an image of it:
// the other is told when it closes it then, before or after.
func TestCleared(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := glancetest.New(t)
		in := incomingOf(t, s, nil)
		d, f, err := in.create("name")
		if err != nil {
			t.Fatal(err)
		}
		g, err := d.openFile()
		if err != nil {
			t.Fatal(err)
		}
		first, second := openBy(t, in, d, f, 10), openBy(t, in, d, g, 11)
		closeFirst := func() {
			t.Helper()
			if err := in.closed(t.Context(), first); !errors.Is(err, errOvertaken) {
				t.Errorf("closing what is gone: %v", err)
			}
		}
		first.Write(t.Context(), []byte("first"), 0)
		if err := second.truncate(0); err != nil {
			t.Fatal(err)
		}
		second.Write(t.Context(), []byte("second"), 0)
		if !late {
			closeFirst()
		}
		if err := in.closed(t.Context(), second); err != nil {
			t.Error(err)
		}
		if late {
			closeFirst()
		}
		_, l, _ := in.find("name")
		if rec, ok := s.Images.Image(l.image); !ok || rec.Status != "active" || *rec.Size != int64(len("second")) {
			t.Errorf("the image is %+v", rec)
		}
		first.Release(t.Context())
		second.Release(t.Context())
		in.stop()
		if left, _ := os.ReadDir(in.dir); len(left) != 0 {
			t.Errorf("left on the disk: %v", left)
		}
	}
}

// TestRemovedMeanwhile removes a draft while it is closed, and when it is about to be opened.
func TestRemovedMeanwhile(t *testing.T) {
	in := incomingOf(t, glancetest.New(t), nil)
	d, f, err := in.create("name")
	if err != nil {
		t.Fatal(err)
	}
	o := openBy(t, in, d, f, 10)
	o.Write(t.Context(), []byte("data"), 0)
	ctx := &meanwhile{t.Context(), func() {
		if err := in.remove("name"); err != nil {
			t.Error(err)
		}
	}}
	if err := in.closed(ctx, o); !errors.Is(err, errDiscarded) {
		t.Errorf("closing it: %v", err)
	}
	if _, _, errno := in.open(t.Context(), d, syscall.O_RDONLY); errno != syscall.ESTALE {
		t.Errorf("opening it: %v", errno)
	}
}
