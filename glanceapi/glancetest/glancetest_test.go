package glancetest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"glancefs/glanceapi/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is one whose connections end with the test.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// fetch asks for an image's data, or a range of it.
func fetch(t *testing.T, s *Server, id, ranges string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v2/images/"+id+"/file", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", "u:p:member,admin")
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	resp, err := client(t).Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

func TestCounters(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	queued := s.AddQueued(t, "none")
	fetch(t, s, id, "bytes=0-3")
	fetch(t, s, id, "bytes=4-")
	if got := s.MaxTimesSent(id); got != 1 {
		t.Errorf("two parts that touch: a byte was sent %d times", got)
	}
	fetch(t, s, id, "bytes=3-4")
	fetch(t, s, id, "bytes=10-")
	fetch(t, s, queued, "")
	resp, err := client(t).Get(s.URL + "/v2/images?limit=1")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	if got := s.MaxTimesSent(id); got != 2 {
		t.Errorf("a byte was sent %d times, want 2", got)
	}
	if got := s.BytesSent(id); got != 12 {
		t.Errorf("%d bytes were sent, want 12", got)
	}
	if meta, data := s.MetadataRequests(), s.DataRequests(); meta != 1 || data != 3 {
		t.Errorf("%d requests for metadata and %d for data, want 1 and 3", meta, data)
	}
	all := s.Requests()
	if len(all) != 6 {
		t.Fatalf("%d requests", len(all))
	}
	if q := all[1]; q.Method != "GET" || q.Range != "bytes=4-" || q.Status != 206 || q.Sent != 6 || q.Image != id || q.Offset != 4 || q.RequestID == "" || q.Token != "u:p:member,admin" {
		t.Errorf("the second request: %+v", q)
	}
	if q := all[3]; q.Status != 416 || q.Image != "" {
		t.Errorf("a refused range: %+v", q)
	}
	if q := all[5]; q.Path != "/v2/images" || q.Query != "limit=1" {
		t.Errorf("the list: %+v", q)
	}
	s.Reset()
	if got := s.Requests(); len(got) != 0 {
		t.Errorf("after Reset: %+v", got)
	}
}

func TestCountsWhatAClientThatLeftWasSent(t *testing.T) {
	s := New(t)
	const size = 256 << 20
	id := s.Add(t, "big", make([]byte, size))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/v2/images/"+id+"/file", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.CopyN(io.Discard, resp.Body, 3<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.BytesSent(id); got < n {
		t.Errorf("%d bytes counted, %d received", got, n)
	}
	cancel()
	s.Settle(t)
	if got := s.BytesSent(id); got < n || got == size {
		t.Errorf("%d bytes counted, %d received", got, n)
	}
}

func TestAddN(t *testing.T) {
	s := New(t)
	ids := s.AddN(t, 1500, func(r *server.Record) { r.Owner = "p" })
	_, got, _ := fetch(t, s, ids[1234], "")
	if string(got) != "image-01234" {
		t.Errorf("got %q", got)
	}
	if rec, ok := s.Images.Image(ids[0]); !ok || rec.Owner != "p" || *rec.Name != "image-00000" {
		t.Errorf("%+v", rec)
	}
}

func BenchmarkDownload(b *testing.B) {
	s := New(b)
	const size = 64 << 20
	id := s.Add(b, "one", make([]byte, size))
	b.SetBytes(size)
	for b.Loop() {
		resp, err := http.Get(s.URL + "/v2/images/" + id + "/file")
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
			b.Fatal(n, err)
		}
		resp.Body.Close()
	}
}

func TestIsData(t *testing.T) {
	for path, want := range map[string]bool{
		"/v2/images/x/file": true, "/v2/images/x": false, "/v2/images": false,
		"/v1/images/x": true, "/v1.1/images/7": true, "/images/7": true, "/v1/images/detail": false, "/images/detail": false,
		"/v1/images/x/members": false, "/v1/images": false, "/v1/images/": false, "/v1/shared-images/x": false,
	} {
		if got := isData("GET", path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// A part of an upload may be lost, or come as something else.
func TestUploadFaults(t *testing.T) {
	s := New(t)
	put := func(id string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", s.URL+"/v2/images/"+id+"/file", strings.NewReader("0123456789"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/octet-stream")
		resp, err := client(t).Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	for _, c := range []struct {
		name           string
		fault          Fault
		answer         int // 0 for none
		status, stored string
	}{
		{"none", Fault{}, 204, "active", "0123456789"},
		{"cut", Fault{Break: CutUpload, After: 5}, 0, "queued", ""},
		{"garbled", Fault{Garble: true}, 204, "active", "\xcf\xce\xcd\xcc\xcb\xca\xc9\xc8\xc7\xc6"},
		{"no answer", Fault{Break: DropAnswer}, 0, "active", "0123456789"},
		{"refused", Fault{Status: 413, Message: "too much"}, 413, "queued", ""},
	} {
		id := s.AddQueued(t, c.name)
		c.fault.Match = IsUpload
		s.SetFaults(c.fault)
		answer, _ := put(id)
		s.Settle(t)
		rec, _ := s.Images.Image(id)
		_, stored, _ := fetch(t, s, id, "")
		if answer != c.answer || rec.Status != c.status || string(stored) != c.stored {
			t.Errorf("%s: answer %d, then %s %q", c.name, answer, rec.Status, stored)
		}
	}
	id := s.AddQueued(t, "stalled")
	s.SetFaults(Fault{Match: IsUpload, Break: StallUpload, After: 5})
	done := make(chan int)
	go func() {
		answer, _ := put(id)
		done <- answer
	}()
	for s.Requests()[len(s.Requests())-1].Body < 5 {
		time.Sleep(time.Millisecond)
	}
	if rec, _ := s.Images.Image(id); rec.Status != "saving" {
		t.Errorf("while it stalls: %s", rec.Status)
	}
	s.SetFaults()
	if answer := <-done; answer != 204 {
		t.Errorf("after its end: %d", answer)
	}
}
