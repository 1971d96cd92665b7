package glanceapi_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

// pattern is n bytes that differ from place to place.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*31
	}
	return p
}

func sumOf(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

func create(t *testing.T, c *glanceapi.Client) string {
	t.Helper()
	i, err := c.Create(t.Context(), glanceapi.NewImage{Name: "new", DiskFormat: "raw", ContainerFormat: "bare"})
	if err != nil || i.Status != "queued" {
		t.Fatalf("%+v, %v", i, err)
	}
	return i.ID
}

func TestUpload(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	for _, size := range []int{0, 1, 65536, 3<<20 + 1} {
		id, data := create(t, c), pattern(size)
		var seen atomic.Int64
		err := c.Upload(t.Context(), id, bytes.NewReader(data), int64(size), glanceapi.UploadOptions{
			Progress: func(sent int64) {
				if before := seen.Swap(sent); sent < before {
					t.Errorf("from %d to %d bytes sent", before, sent)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		i, err := c.Image(t.Context(), id)
		if err != nil || i.Status != "active" || i.Size != int64(size) || i.Checksum != sumOf(data) || seen.Load() != int64(size) {
			t.Errorf("%d bytes: %+v, %v, %d seen", size, i, err, seen.Load())
		}
	}
	if n := c.Stats().BytesSent; n != 1+65536+3<<20+1 {
		t.Errorf("%d bytes counted", n)
	}
}

// What is refused is refused before a byte of data is on its way.
func TestUploadRefused(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	filled := s.Add(t, "full", []byte("x"))
	bare, err := c.Create(t.Context(), glanceapi.NewImage{Name: "without formats"})
	if err != nil {
		t.Fatal(err)
	}
	queued := create(t, c)
	for _, f := range []struct {
		name   string
		id     string
		status int // of the fault, 0 for none
		is     error
	}{
		{"not queued", filled, 0, glanceapi.ErrConflict},
		{"no formats", bare.ID, 0, fs.ErrInvalid},
		{"no such image", "00000000-0000-4000-8000-000000000000", 0, fs.ErrNotExist},
		{"not an id", "../x", 0, fs.ErrNotExist},
		{"quota", queued, 413, glanceapi.ErrTooLarge},
		{"conflict", queued, 409, glanceapi.ErrConflict},
		{"bad format", queued, 400, fs.ErrInvalid},
		{"forbidden", queued, 403, fs.ErrPermission},
		{"bad token", queued, 401, fs.ErrPermission},
	} {
		s.SetFaults()
		if f.status != 0 {
			s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Status: f.status, Message: "because of that"})
		}
		s.Reset()
		err := c.Upload(t.Context(), f.id, bytes.NewReader(pattern(1<<20)), 1<<20, glanceapi.UploadOptions{})
		if !errors.Is(err, f.is) || glanceapi.Temporary(err) {
			t.Errorf("%s: %v", f.name, err)
		}
		if f.status != 0 && !strings.Contains(err.Error(), "because of that") {
			t.Errorf("%s: no reason in %v", f.name, err)
		}
		for _, q := range s.Requests() {
			if q.Body != 0 {
				t.Errorf("%s: %d bytes were read", f.name, q.Body)
			}
		}
	}
	if n := c.Stats().BytesSent; n != 0 {
		t.Errorf("%d bytes sent in vain", n)
	}
	if err := c.Upload(t.Context(), queued, bytes.NewReader(nil), -1, glanceapi.UploadOptions{}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a negative size: %v", err)
	}
	if err := c.Upload(t.Context(), queued, bytes.NewReader(nil), 0, glanceapi.UploadOptions{Store: "cheap"}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("an unknown store: %v", err)
	}
}

// A service that is down for a moment, or loses its clients, still gets the
// image, once and whole.
func TestUploadAgain(t *testing.T) {
	const size = 4 << 20
	data := pattern(size)
	for _, f := range []struct {
		name  string
		fault glancetest.Fault
		puts  int
	}{
		{"busy three times", glancetest.Fault{Status: 503, Times: 3}, 4},
		{"no answer", glancetest.Fault{Break: glancetest.Drop, Times: 2}, 3},
		{"cut at half", glancetest.Fault{Break: glancetest.CutUpload, After: size / 2, Times: 1}, 2},
	} {
		t.Run(f.name, func(t *testing.T) {
			s := glancetest.New(t)
			c := newClient(t, s)
			id := create(t, c)
			f.fault.Match = glancetest.IsUpload
			s.SetFaults(f.fault)
			if err := c.Upload(t.Context(), id, bytes.NewReader(data), size, glanceapi.UploadOptions{}); err != nil {
				t.Fatal(err)
			}
			i, err := c.Image(t.Context(), id)
			if err != nil || i.Status != "active" || i.Checksum != sumOf(data) {
				t.Errorf("%+v, %v", i, err)
			}
			puts := 0
			for _, q := range s.Requests() {
				if q.Method == "PUT" {
					puts++
				}
			}
			if puts != f.puts {
				t.Errorf("%d uploads, want %d", puts, f.puts)
			}
		})
	}
}

// An upload whose answer is lost is done all the same.
func TestUploadAnswerLost(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	id := create(t, c)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.DropAnswer, Times: 1})
	if err := c.Upload(t.Context(), id, bytes.NewReader(pattern(1000)), 1000, glanceapi.UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := c.Stats().BytesSent; n != 1000 {
		t.Errorf("%d bytes sent", n)
	}
}

// An upload that is cut every time is given up, and has left nothing behind.
func TestUploadGivesUp(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	id := create(t, c)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.CutUpload, After: 1 << 20})
	err := c.Upload(t.Context(), id, bytes.NewReader(pattern(2<<20)), 2<<20, glanceapi.UploadOptions{})
	if !glanceapi.Temporary(err) {
		t.Errorf("%v", err)
	}
	if i, err := c.Image(t.Context(), id); err != nil || i.Status != "queued" || i.Size != glanceapi.UnknownSize {
		t.Errorf("%+v, %v", i, err)
	}
}

// Progress is timed: a service that reads on slowly is waited for, one that has
// stopped is not.
func TestUploadStalls(t *testing.T) {
	s := glancetest.New(t)
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, size := range []int64{1 << 10, 16 << 20} { // below and above what the kernel buffers
		id := create(t, c)
		s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.StallUpload, After: size / 2})
		err = c.Upload(t.Context(), id, bytes.NewReader(pattern(int(size))), size, glanceapi.UploadOptions{})
		if !errors.Is(err, glanceapi.ErrStalled) || !glanceapi.Temporary(err) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if err := c.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
		s.SetFaults()
	}
}

func TestUploadEndsWithItsContext(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	id := create(t, c)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.StallUpload, After: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	data := &oneReader{t: t, data: pattern(16 << 20)}
	err := c.Upload(ctx, id, data, 16<<20, glanceapi.UploadOptions{Progress: func(sent int64) {
		if sent > 0 {
			cancel()
		}
	}})
	data.over.Store(true)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.SetFaults()
	s.Settle(t)
}

// A oneReader fails its test when it is read after Upload has returned.
type oneReader struct {
	t    *testing.T
	data []byte
	over atomic.Bool
}

func (r *oneReader) ReadAt(p []byte, off int64) (int, error) {
	if r.over.Load() {
		r.t.Error("read after the end")
	}
	return bytes.NewReader(r.data).ReadAt(p, off)
}

// Data that cannot be read is an error of its own, and not sent again.
func TestUploadOfWhatCannotBeRead(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	broken := errors.New("a bad disk")
	for _, f := range []struct {
		name string
		data io.ReaderAt
		is   error
	}{
		{"broken", failingReader{broken}, broken},
		{"too short", bytes.NewReader(pattern(100_000)), io.ErrUnexpectedEOF},
	} {
		id := create(t, c)
		err := c.Upload(t.Context(), id, f.data, 200_000, glanceapi.UploadOptions{})
		if !errors.Is(err, f.is) || glanceapi.Temporary(err) {
			t.Errorf("%s: %v", f.name, err)
		}
		s.Settle(t)
		if i, err := c.Image(t.Context(), id); err != nil || i.Status != "queued" {
			t.Errorf("%s: %+v, %v", f.name, i, err)
		}
	}
}

type failingReader struct{ err error }

func (r failingReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }
