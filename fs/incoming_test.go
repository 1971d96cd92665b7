package fs

import (
	"bytes"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"glancefs/fs/publish"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// incomingOf is incoming/ of a mount of s, with its drafts in the directory that
// prepare may fill.
func incomingOf(t *testing.T, s *glancetest.Server, prepare func(dir string)) *incoming {
	t.Helper()
	dir := t.TempDir()
	drafts := filepath.Join(dir, "drafts")
	if err := os.Mkdir(drafts, 0o700); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(drafts)
	}
	return planted(t, s, dir, 1<<30).incoming
}

// leave writes a file as an earlier mount has left it.
func leave(t *testing.T, path string, v any) {
	t.Helper()
	b, ok := v.([]byte)
	if !ok {
		b, _ = json.Marshal(v)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLoad starts with what a crash may leave, and loses no draft.
func TestLoad(t *testing.T) {
	s := glancetest.New(t)
	in := incomingOf(t, s, func(dir string) {
		at := func(name string) string { return filepath.Join(dir, name) }
		for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "9"} {
			leave(t, at(id+".data"), []byte(id))
		}
		leave(t, at("1.json"), about{Name: "a%25b", Attrs: map[string]string{"k": "v"}})
		leave(t, at("2.json"), about{Name: "same"})
		leave(t, at("3.json"), about{Name: "same"})
		if err := os.Chtimes(at("2.json"), time.Now(), time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		leave(t, at("4.json"), []byte("{"))
		leave(t, at("5.json"), about{Image: "i", Endpoint: s.URL})
		leave(t, at("6.json"), about{Image: "i", Endpoint: "http://elsewhere"})
		leave(t, at("8.json"), about{Name: "without its data"})
		leave(t, at("9.json"), about{Name: "a%2Fb"})
		leave(t, at("1.json.tmp"), []byte("half"))
		leave(t, at("10.data"), []byte(nil))
		leave(t, at("11.data"), []byte(nil))
		leave(t, at("11.json"), about{Name: "empty"})
	})
	var names []string
	for name, d := range in.named {
		names = append(names, name+"="+d.id)
	}
	slices.Sort(names)
	if want := []string{".2=2", ".4=4", ".7=7", ".9=9", "a%b=1", "empty=11", "same=3"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if d := in.filler("i"); d == nil || d.id != "5" {
		t.Errorf("the data of an image: %+v", d)
	}
	left, _ := filepath.Glob(in.dir + "/*")
	if len(left) != 2*9 { // what was lost is there anew
		t.Errorf("%q", left)
	}
	for _, gone := range []string{"8.json", "1.json.tmp", "10.data"} {
		if _, err := os.Stat(filepath.Join(in.dir, gone)); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
}

// A resumption is what is found after a crash, and what is to become of it.
type resumption struct {
	attempt  publish.Attempt
	image    string // status at the service; "" for none
	data     []byte // at the service
	tried    string // the draft's
	noDraft  bool
	survives bool // the image; the draft does unless it has become the image
	becomes  bool
}

// TestResume starts after a crash in the midst of an upload, with every state of
// the attempt and of the image.
func TestResume(t *testing.T) {
	const id, queued, active = someID, "queued", "active"
	data := []byte("the bytes of a draft")
	for name, c := range map[string]resumption{
		"asked, and not made":          {attempt: publish.Attempt{State: publish.Asked}, tried: id},
		"asked, and made":              {attempt: publish.Attempt{State: publish.Asked}, tried: id, image: queued},
		"made":                         {attempt: publish.Attempt{State: publish.Made}, tried: id, image: queued},
		"made, upload under way":       {attempt: publish.Attempt{State: publish.Made}, tried: id, image: "saving"},
		"sent":                         {attempt: publish.Attempt{State: publish.Made}, tried: id, image: active, data: data, survives: true, becomes: true},
		"sent, other bytes":            {attempt: publish.Attempt{State: publish.Made}, tried: id, image: active, data: []byte("the bytes of a drift")},
		"sent, cut short":              {attempt: publish.Attempt{State: publish.Made}, tried: id, image: active, data: data[:5]},
		"sent, and the draft changed":  {attempt: publish.Attempt{State: publish.Made}, image: active, data: data},
		"copied, other bytes":          {attempt: publish.Attempt{State: publish.Made, Home: 1}, tried: id, image: active, data: []byte("something"), survives: true},
		"copied, and no draft":         {attempt: publish.Attempt{State: publish.Made, Home: 1}, image: active, data: data, survives: true, noDraft: true},
		"copied, sent":                 {attempt: publish.Attempt{State: publish.Made, Home: 1}, tried: id, image: active, data: data, survives: true, becomes: true},
		"copied, not sent":             {attempt: publish.Attempt{State: publish.Made, Home: 1}, tried: id, image: queued},
		"right":                        {attempt: publish.Attempt{State: publish.Right}, tried: id, image: active, data: data, survives: true, becomes: true},
		"right, and the draft is gone": {attempt: publish.Attempt{State: publish.Right}, image: active, data: data, survives: true, noDraft: true},
		"right, and the draft changed": {attempt: publish.Attempt{State: publish.Right}, image: active, data: []byte("something"), survives: true},
		"right, and tried, and other":  {attempt: publish.Attempt{State: publish.Right}, tried: id, image: active, data: []byte("something"), survives: true},
		"made, and the draft removed":  {attempt: publish.Attempt{State: publish.Made}, image: queued, noDraft: true},
		"reserved, and not answered":   {attempt: publish.Attempt{State: publish.Made, As: "-"}, image: queued, noDraft: true},
		"given id, of another":         {attempt: publish.Attempt{State: publish.Asked, Given: true}, tried: id, image: active, data: []byte("x"), survives: true},
		"given id, made":               {attempt: publish.Attempt{State: publish.Made, Given: true}, tried: id, image: queued},
		"another service's":            {attempt: publish.Attempt{State: publish.Made, Endpoint: "http://elsewhere"}, tried: id, image: queued, survives: true},
	} {
		t.Run(name, func(t *testing.T) { c.test(t, data) })
	}
}

func (c resumption) test(t *testing.T, data []byte) {
	const id = someID
	s := glancetest.New(t)
	called := "file"
	rec := server.Record{ID: id, Name: &called, DiskFormat: "raw", ContainerFormat: "bare", Status: c.image}
	if c.image == "active" {
		if _, err := s.Images.Add(rec, bytes.NewReader(c.data)); err != nil {
			t.Fatal(err)
		}
	} else if c.image != "" {
		if _, err := s.Images.Add(rec, nil); err != nil {
			t.Fatal(err)
		}
	}
	r := c.attempt
	r.Image, r.Draft = id, "draft"
	if r.As == "" {
		r.As = "file"
	}
	if r.Endpoint == "" {
		r.Endpoint = s.URL
	}
	in := incomingOf(t, s, func(dir string) {
		leave(t, filepath.Join(dir, "x.attempt"), r)
		if !c.noDraft {
			leave(t, filepath.Join(dir, "draft.data"), data)
			leave(t, filepath.Join(dir, "draft.json"), about{Name: "file", Tried: c.tried})
		}
	})
	all, err := publish.LoadAttempts(in.dir)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if r.Endpoint != s.URL {
		in.resume()
		in.stop()
	} else {
		all[0].Since = time.Time{}
		if err := in.resolve(t.Context(), all[0]); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.Images.Image(id); ok != (c.survives && c.image != "") {
		t.Errorf("the image is there: %t", ok)
	}
	d, link, ok := in.find("file")
	switch {
	case c.noDraft:
		if ok {
			t.Error("a draft out of nothing")
		}
	case c.becomes:
		if d != nil || link != (linked{id, "/data"}) {
			t.Errorf("%v, %v", d, link)
		}
	default:
		if got, err := os.ReadFile(filepath.Join(in.dir, "draft.data")); d == nil || err != nil || !bytes.Equal(got, data) {
			t.Errorf("draft %v: %q, %v", d, got, err)
		}
		if c.tried != "" && d.known().Error == "" {
			t.Error("no reason is given")
		}
	}
}

// TestNotYet: an image that was asked for, and is not there, is waited for.
func TestNotYet(t *testing.T) {
	s := glancetest.New(t)
	in := incomingOf(t, s, func(dir string) {
		leave(t, filepath.Join(dir, "x.attempt"), publish.Attempt{Image: someID, Endpoint: s.URL, Draft: "d", State: publish.Asked})
	})
	all, err := publish.LoadAttempts(in.dir)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	r := all[0]
	if err := in.resolve(t.Context(), r); !errors.Is(err, publish.ErrMayCome) {
		t.Error(err)
	}
	name := "late"
	if _, err := s.Images.Add(server.Record{ID: someID, Name: &name}, nil); err != nil {
		t.Fatal(err)
	}
	in.later(r)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := s.Images.Image(someID); !ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not removed")
		}
	}
}

// TestOutage has the service down when a failed upload is to be taken back: that
// is done once it is back.
func TestOutage(t *testing.T) {
	s := glancetest.New(t)
	in := incomingOf(t, s, nil)
	d, f, err := in.create("file")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("data"))
	f.Close()
	s.SetFaults(
		glancetest.Fault{Match: glancetest.IsUpload, Status: http.StatusBadRequest},
		glancetest.Fault{Match: func(r *http.Request) bool { return r.Method == http.MethodDelete }, Status: http.StatusServiceUnavailable},
	)
	u, err := in.start(d, &upload{name: "file"})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.wait(t.Context()); !errors.Is(err, iofs.ErrInvalid) {
		t.Errorf("%v", err)
	}
	s.SetFaults()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if left, _ := filepath.Glob(in.dir + "/*.attempt"); len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not taken back")
		}
	}
	w, err := in.t.catalog.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if id, ok, err := w.At(t.Context(), 0); ok || err != nil {
		t.Errorf("%s, %v", id, err)
	}
}

// TestRefillEnds: the data of a queued image that was sent before stays what it is, if
// glancefs ends before it is known that the image has it.
func TestRefillEnds(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "disk", []byte("data"))
	in := incomingOf(t, s, func(dir string) {
		leave(t, filepath.Join(dir, "1.data"), []byte("data"))
		leave(t, filepath.Join(dir, "1.json"), about{Image: id, Endpoint: s.URL, Tried: id})
	})
	d, first := in.filler(id), true
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang, Match: func(*http.Request) bool {
		asked := first
		first = false
		return !asked
	}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in.refill(id, d)
	}()
	for s.Suffered() == 0 {
		time.Sleep(time.Millisecond)
	}
	in.halt()
	<-ended
	if in.filler(id) != d || d.known().Image != id {
		t.Errorf("it is %+v", d.known())
	}
}
