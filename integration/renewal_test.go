package integration

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRenewed has another image come back under the id of one that is known, cached and
// open: nobody reads the one's bytes as the other's, nor a part of both.
func TestRenewed(t *testing.T) {
	t.Parallel()
	require(t)
	first, second := noise("first", 3<<20), noise("second", 4<<20)
	var now atomic.Pointer[http.ServeMux]
	serve := func(data []byte) *http.ServeMux {
		h := newHostile(t)
		sum := md5.Sum(data)
		h.add(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		},
			map[string]any{"size": len(data), "checksum": hex.EncodeToString(sum[:])})
		return h.mux
	}
	now.Store(serve(first))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { now.Load().ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	m := mount(t, "--endpoint", s.URL, "--refresh", "200ms")
	file := filepath.Join(m.Dir, "images", hostileID(0), "data")
	sha512sum(t, file, first)
	if v := verified(t, file); v != "yes" {
		t.Errorf("verified: %q", v)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	now.Store(serve(second))
	err = eventually("the other image to be refused", func() (bool, error) {
		_, err := try(nil, "cat", file)
		return err != nil && strings.Contains(err.Error(), "Input/output error"), err
	})
	if err != nil {
		t.Error(err)
	}
	m.says(t, "other data under this id")
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, first) {
		t.Errorf("who had the first image open reads %d bytes, %v", len(got), err)
	}
	f.Close()
	err = eventually("the first image to be closed", func() (bool, error) {
		_, err := try(nil, "head", "-c", "1", file)
		return err == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	err = eventually("the other image", func() (bool, error) {
		got, err := os.ReadFile(file)
		return bytes.Equal(got, second), err
	})
	if err != nil {
		t.Error(err)
	}
}
