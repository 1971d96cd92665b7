package fs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestListingGoesOn has a catalog go on with what another one has saved: it shows
// what is new although a reading from start to end does not come to its end.
func TestListingGoesOn(t *testing.T) {
	s := glancetest.New(t)
	s.AddN(t, 250)
	first := catalogOf(t, s, time.Hour)
	if n := len(ids(t, first)); n != 250 {
		t.Fatalf("%d images", n)
	}
	dir := t.TempDir()
	err := replaceFile(filepath.Join(dir, stateFile), false, func(w io.Writer) error {
		return first.save(w, State{Format: stateFormat, Account: "somebody"})
	})
	if err != nil {
		t.Fatal(err)
	}
	state, err := LoadState(dir, "somebody")
	if err != nil {
		t.Fatal(err)
	}
	id := s.Add(t, "new", []byte("new"))
	next := catalogOf(t, s, time.Hour)
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang, Match: func(r *http.Request) bool { return !r.URL.Query().Has("updated_at") }})
	next.restore(state, true)
	all := ids(t, next)
	for range 30 { // a busy machine's answer may come after the caller's second
		if len(all) > 250 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		all = ids(t, next)
	}
	if len(all) != 251 || !slices.Contains(all, id) {
		t.Errorf("%d images are listed", len(all))
	}
	s.SetFaults()
	next.readAnew() // with the one that is under way
	if n := len(ids(t, next)); n != 251 {
		t.Errorf("%d images are listed in the end", n)
	}
}

// TestStateRefused: on a disk that does not take it, what is known is saved no more often
// than on another, and the log has one line.
func TestStateRefused(t *testing.T) {
	tr := planted(t, glancetest.New(t), t.TempDir(), 1<<30)
	var log bytes.Buffer
	tr.log, tr.cacheDir = slog.New(slog.NewTextHandler(&log, nil)), filepath.Join(t.TempDir(), "gone")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go tr.keepState(ctx, "")
		time.Sleep(10 * saveEvery)
		cancel()
	})
	if n := strings.Count(log.String(), "not saved"); n != 1 {
		t.Errorf("%d lines:\n%.1000s", n, log.String())
	}
}
