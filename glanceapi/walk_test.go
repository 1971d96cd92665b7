package glanceapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listing serves pages of the ids in order, as many as per a page.
func listing(per int, ids ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if m := r.FormValue("marker"); m != "" {
			for from < len(ids) && ids[from] != m {
				from++
			}
			if from++; from > len(ids) {
				answer(400, `{"message":"No image found with ID `+m+`"}`)(w, r)
				return
			}
		}
		page := ids[from:min(from+per, len(ids))]
		io.WriteString(w, pageJSON(len(page) == per, page...))
	}
}

func pageJSON(next bool, ids ...string) string {
	var images []string
	for _, id := range ids {
		images = append(images, fmt.Sprintf(`{"id":%q,"status":"active"}`, id))
	}
	tail := ""
	if next {
		tail = `,"next":"/v2/images?marker=somewhere-else"`
	}
	return `{"images":[` + strings.Join(images, ",") + `]` + tail + `}`
}

// collect returns the ids of each page.
func collect(t *testing.T, c *Client, q Query) ([][]string, error) {
	t.Helper()
	var all [][]string
	for p, err := range c.Images(t.Context(), q) {
		if err != nil {
			return all, err
		}
		ids := []string{}
		for _, i := range p.Images {
			ids = append(ids, i.ID)
		}
		all = append(all, ids)
	}
	return all, nil
}

func TestImagesPages(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		want [][]string
	}{
		{"none", listing(2), [][]string{{}}},
		{"one page", listing(2, "a"), [][]string{{"a"}}},
		{"exact fit", listing(2, "a", "b"), [][]string{{"a", "b"}, {}}},
		{"several", listing(2, "a", "b", "c", "d", "e"), [][]string{{"a", "b"}, {"c", "d"}, {"e"}}},
		{"unusable ids", listing(2, "a", "../b", "-c", "d", ".", strings.Repeat("e", 65), "f"), [][]string{{"a"}, {"d"}, {}, {"f"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := collect(t, newTestClient(t, c.h), Query{})
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v, (-want +got)\n%s", err, diff)
			}
		})
	}
}

func TestUnusableIDsWarnOnce(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, listing(9, "a", "../b", "c/d"))
	c := newClientOf(t, Config{Endpoint: s.URL, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := collect(t, c, Query{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "count=2") {
		t.Errorf("%d warnings: %s", n, log.String())
	}
}

// The last image of the first page is deleted before the second is asked for.
func TestImagesMarkerLost(t *testing.T) {
	for _, status := range []int{400, 403} {
		requests := 0
		c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
			switch requests++; requests {
			case 1:
				io.WriteString(w, pageJSON(true, "a", "b"))
			case 2:
				answer(status, `{"message":"gone"}`)(w, r)
			default:
				listing(2, "a", "c", "d")(w, r)
			}
		})
		got, err := collect(t, c, Query{})
		if diff := cmp.Diff([][]string{{"a", "b"}, {"a", "c"}, {"d"}}, got); err != nil || diff != "" {
			t.Errorf("%d: %v, (-want +got)\n%s", status, err, diff)
		}
	}
}

// A service that never gets on must not keep a walk going for ever.
func TestImagesEndless(t *testing.T) {
	first := true
	for name, h := range map[string]http.HandlerFunc{
		"the same page": answer(200, pageJSON(true, "a", "b")),
		"two pages": func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("marker") == "b" {
				io.WriteString(w, pageJSON(true, "c", "d"))
			} else {
				io.WriteString(w, pageJSON(true, "a", "b"))
			}
		},
		"markers always lost": func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("marker") != "" {
				answer(400, "")(w, r)
				return
			}
			first = !first
			io.WriteString(w, pageJSON(true, "a", fmt.Sprint("b", first)))
		},
	} {
		if _, err := collect(t, newTestClient(t, h), Query{}); err == nil || Temporary(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := newTestClient(t, answer(400, `{"message":"a bad filter"}`))
	if _, err := collect(t, c, Query{}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a 400 without a marker: %v", err)
	}
	if n := c.Stats().MetadataRequests; n != 3 {
		t.Errorf("%d requests", n)
	}
}

func TestImagesStops(t *testing.T) {
	c := newTestClient(t, listing(1, "a", "b", "c"))
	for range c.Images(t.Context(), Query{}) {
		break
	}
	if n := c.Stats().MetadataRequests; n != 3 {
		t.Errorf("%d requests for New and one page", n)
	}
}

func TestImagesQuery(t *testing.T) {
	var got url.Values
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Query()
		w.Header().Set("Date", "Fri, 02 Jan 2026 03:04:15 GMT")
		io.WriteString(w, pageJSON(false, "a"))
	})
	since := time.Date(2026, 1, 2, 4, 0, 0, 999, time.FixedZone("", 3600))
	for _, q := range []struct {
		q    Query
		want url.Values
	}{
		{Query{}, url.Values{"limit": {"100"}}},
		{Query{Name: "a:b & \xff"}, url.Values{"limit": {"100"}, "name": {"eq:a:b & \xff"}}},
		{Query{UpdatedSince: since, Sort: "updated_at"}, url.Values{"limit": {"100"}, "sort": {"updated_at:desc"}, "updated_at": {"gte:2026-01-02T03:00:00Z"}}},
	} {
		for p, err := range c.Images(t.Context(), q.q) {
			if err != nil || !p.Date.Equal(time.Date(2026, 1, 2, 3, 4, 15, 0, time.UTC)) {
				t.Errorf("%v, %v", p.Date, err)
			}
		}
		if diff := cmp.Diff(q.want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	if _, err := collect(t, c, Query{Sort: "owner"}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("an unknown sort key: %v", err)
	}
}

// What the service does not filter is filtered here.
func TestImagesFilter(t *testing.T) {
	c := newTestClient(t, answer(200, `{"images":[
		{"id":"a","name":"x","updated_at":"2026-01-02T03:00:00Z"}, {"id":"b","name":"X"}, {"id":"c","name":null}, {"id":"d","name":"x"},
		{"id":"e","name":"x","updated_at":"2026-01-02T02:59:59Z"}]}`))
	since := time.Date(2026, 1, 2, 3, 0, 0, 5e8, time.UTC)
	for _, f := range []struct {
		q    Query
		want []string
	}{
		{Query{}, []string{"a", "b", "c", "d", "e"}},
		{Query{Name: "x"}, []string{"a", "d", "e"}},
		{Query{UpdatedSince: since}, []string{"a", "b", "c", "d"}},
	} {
		got, err := collect(t, c, f.q)
		if diff := cmp.Diff([][]string{f.want}, got); err != nil || diff != "" {
			t.Errorf("%+v: %v, (-want +got)\n%s", f.q, err, diff)
		}
	}
}

func TestValidID(t *testing.T) {
	for _, id := range []string{id1, "7", "A_b-c", strings.Repeat("x", 64)} {
		if !validID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []string{"", "-a", "_a", ".", "..", "a/b", "a b", "a\x00", "é", "a%2f", strings.Repeat("x", 65)} {
		if validID(id) {
			t.Errorf("%q is taken", id)
		}
	}
}
