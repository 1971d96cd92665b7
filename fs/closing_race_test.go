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
		open := func(file *os.File, process int) *opening {
			o := in.opening(d, file, syscall.O_WRONLY)
			o.opener = process
			if err := d.enter(process); err != nil {
				t.Fatal(err)
			}
			return o
		}
		o := open(f, us)
		if _, errno := o.Write(t.Context(), []byte("AA"), 0); errno != 0 {
			t.Fatal(errno)
		}
		ctx := &meanwhile{t.Context(), func() {
			f, err := d.openFile()
			if err != nil {
				t.Fatal(err)
			}
			if err := change(open(f, other)); err != nil {
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
