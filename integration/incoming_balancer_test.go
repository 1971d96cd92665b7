package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestUploadSeenLate uploads to a service of which one process does not see at once
// what another has been sent. The image is waited for, and not removed.
func TestUploadSeenLate(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	var late atomic.Int64
	uploadThrough(t, "late", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || late.Add(-1) < 0 {
			s.ServeHTTP(w, r)
		} else {
			fmt.Fprintf(w, `{"id":%q,"status":"queued","name":"late"}`, filepath.Base(r.URL.Path))
		}
		if r.Method == http.MethodPut {
			late.Store(2)
		}
	})
	if n := len(images(t, s, "late")); n != 1 {
		t.Errorf("%d images were made", n)
	}
}

// TestCreatedTwice uploads through a balancer that sends a request to the next process
// when the first has died over it. That is no other image's id.
func TestCreatedTwice(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	uploadThrough(t, "twice", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			s.ServeHTTP(httptest.NewRecorder(), r)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		s.ServeHTTP(w, r)
	})
	if all := images(t, s, "twice"); len(all) != 1 || all[0].Status != "active" {
		t.Errorf("images: %+v", all)
	}
}

// uploadThrough makes an image of a name by way of what stands before the service, and
// reads it back.
func uploadThrough(t *testing.T, name string, front http.HandlerFunc) {
	t.Helper()
	h := httptest.NewServer(front)
	t.Cleanup(h.Close)
	source, data := noiseFile(t, 1<<20)
	m := mount(t, "--endpoint", h.URL)
	path := filepath.Join(m.Dir, "incoming", name)
	run(t, "cp", source, path)
	sha512sum(t, path, data)
}
