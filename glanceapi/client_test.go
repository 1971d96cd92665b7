package glanceapi

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestImage(t *testing.T) {
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/images/" + id1:
			io.WriteString(w, `{"id":"`+id1+`","name":"one"}`)
		case "/v2/images/" + id2:
			io.WriteString(w, `{"id":"`+id1+`"}`)
		case "/v2/images/Case":
			io.WriteString(w, `{"id":"case"}`)
		case "/v2/images/list":
			io.WriteString(w, `[]`)
		default:
			answer(404, `{"message":"No image found"}`)(w, r)
		}
	})
	i, err := c.Image(t.Context(), id1)
	want := Image{ID: id1, Name: "one", Size: UnknownSize, VirtualSize: UnknownSize}
	if diff := cmp.Diff(want, i); err != nil || diff != "" {
		t.Errorf("%v, (-want +got)\n%s", err, diff)
	}
	for _, id := range []string{id2, "list"} {
		if _, err := c.Image(t.Context(), id); err == nil || Temporary(err) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a wrong answer for %s: %v", id, err)
		}
	}
	for _, id := range []string{"missing", "Case"} {
		if _, err := c.Image(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("image %s: %v", id, err)
		}
	}
	before := c.Stats().MetadataRequests
	for _, id := range []string{"", "..", "a/b"} {
		if _, err := c.Image(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("image %q: %v", id, err)
		}
		if _, err := c.Members(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("members of %q: %v", id, err)
		}
	}
	if n := c.Stats().MetadataRequests - before; n != 0 {
		t.Errorf("%d requests for ids that cannot be", n)
	}
}

func TestMembers(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		want []Member
		is   error
	}{
		{"none", answer(200, `{"members":[]}`), nil, nil},
		{"two", answer(200, "{\"members\":[{\"member_id\":\"a\",\"status\":\"pending\"},{\"member_id\":\"b\xff/\",\"status\":\"accepted\"},{\"status\":\"x\"}]}"),
			[]Member{{ID: "a", Status: "pending"}, {ID: "b\xff/", Status: "accepted"}}, nil},
		{"not shared", answer(403, `{"message":"Not allowed to list members for image x: Only shared images have members.<br/>"}`), nil, nil},
		{"forbidden", answer(403, `{"message":"no"}`), nil, fs.ErrPermission},
		{"no image", answer(404, ``), nil, fs.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newTestClient(t, c.h).Members(t.Context(), id1)
			if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.is) {
				t.Errorf("%v, (-want +got)\n%s", err, diff)
			}
		})
	}
}

// Metadata is asked for again while the service says that it may help.
func TestMetadataRetries(t *testing.T) {
	var n atomic.Int64
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) {
		case 1:
			answer(503, "busy")(w, r)
		case 2:
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"id":`) // and cut
		default:
			io.WriteString(w, `{"id":"`+id1+`"}`)
		}
	})
	if _, err := c.Image(t.Context(), id1); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Retries != 2 || s.Failures != 2 || s.MetadataRequests != 5 {
		t.Errorf("%+v", s)
	}
}

func TestMetadataTimeout(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := newClientOf(t, Config{Endpoint: s.URL, Timeout: 50 * time.Millisecond})
	if _, err := c.Image(t.Context(), id1); !errors.Is(err, errSlow) || !Temporary(err) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Image(ctx, id1); !errors.Is(err, context.DeadlineExceeded) || Temporary(err) {
		t.Errorf("the caller's own deadline: %v", err)
	}
}

func TestDocumentIsBounded(t *testing.T) {
	blank := strings.Repeat(" ", 1<<20)
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		for range maxDocument>>20 + 1 {
			if _, err := io.WriteString(w, blank); err != nil {
				return
			}
		}
	})
	if _, err := c.Image(t.Context(), id1); err == nil || Temporary(err) || !strings.Contains(err.Error(), "longer than 16 MiB") {
		t.Errorf("%v", err)
	}
}

// A token is for one host: redirects to another one are not followed.
func TestRedirect(t *testing.T) {
	var leaked atomic.Bool
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { leaked.Store(true) })
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/images/" + id1:
			http.Redirect(w, r, other.URL+"/v2/images/x", http.StatusFound)
		case "/v2/images/" + id2:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/elsewhere":
			io.WriteString(w, `{"id":"`+id2+`","owner":"`+r.Header.Get("X-Auth-Token")+`"}`)
		}
	})
	if _, err := c.Image(t.Context(), id1); err == nil || leaked.Load() || !strings.Contains(err.Error(), "redirected to "+other.URL) {
		t.Errorf("leaked %v, %v", leaked.Load(), err)
	}
	if i, err := c.Image(t.Context(), id2); err != nil || i.Owner != "secret-token" {
		t.Errorf("within the host: %+v, %v", i, err)
	}
}
