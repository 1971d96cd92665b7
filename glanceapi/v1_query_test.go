package glanceapi_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// Whatever a release makes of a query, the answer is the same.
func TestV1Query(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		for n, rec := range []server.Record{
			{Name: new("a"), DiskFormat: "raw", ContainerFormat: "bare", Owner: "p", Type: "raw"},
			{Name: new("b"), DiskFormat: "ami", ContainerFormat: "ami", Owner: "q", Type: "machine"},
			{Name: new("c"), DiskFormat: "raw", ContainerFormat: "bare", Owner: "p", Type: "raw", Properties: map[string]string{"os": "debian"}},
			{Name: new("D"), DiskFormat: "raw", ContainerFormat: "bare", Owner: "p", Type: "raw", Properties: map[string]string{"os": "Debian"}},
		} {
			rec.CreatedAt, rec.UpdatedAt, rec.Visibility = day(n+1), day(20-n), "public"
			s.Add(t, "", make([]byte, []int{0, 30, 20, 10}[n]), func(to *server.Record) { *to = rec })
		}
		s.AddQueued(t, "", func(to *server.Record) {
			*to = server.Record{Visibility: "public", CreatedAt: day(9), UpdatedAt: day(9)}
		})
		c := clientV1(t, s, "p")
		for _, f := range []struct {
			q    glanceapi.Query
			want string // names in order
		}{
			{glanceapi.Query{}, " D c b a"},
			{glanceapi.Query{Name: "a"}, "a"},
			{glanceapi.Query{Name: "A"}, ""},
			{glanceapi.Query{Name: "ä"}, ""},
			{glanceapi.Query{Status: "queued"}, ""},
			{glanceapi.Query{Status: "active", Ascending: true}, "a b c D"},
			{glanceapi.Query{ContainerFormat: "bare"}, "D c a"},
			{glanceapi.Query{DiskFormat: "ami"}, "b"},
			{glanceapi.Query{SizeMin: new(int64(20))}, "c b"},
			{glanceapi.Query{SizeMax: new(int64(20))}, "D c a"},
			{glanceapi.Query{SizeMax: new(int64(0))}, "a"},
			{glanceapi.Query{Public: new(true)}, " D c b a"},
			{glanceapi.Query{Public: new(false)}, ""},
			{glanceapi.Query{Visibility: "private"}, ""},
			{glanceapi.Query{Tags: []string{"x"}}, ""},
			{glanceapi.Query{Properties: map[string]string{"os": "debian"}}, "c"},
			{glanceapi.Query{Properties: map[string]string{"os": "Debian"}, Status: "active"}, "D"},
			{glanceapi.Query{Sort: "name"}, "c b a D "},
			{glanceapi.Query{Sort: "name", Ascending: true}, " D a b c"},
			{glanceapi.Query{Sort: "size"}, "b c D a "},
			{glanceapi.Query{Sort: "size", Status: "active", Ascending: true}, "a D c b"},
			{glanceapi.Query{Sort: "disk_format", Status: "active", Ascending: true}, "b a c D"},
			{glanceapi.Query{Sort: "container_format"}, "D c a b "},
			{glanceapi.Query{Sort: "status", Ascending: true}, "a b c D "},
			{glanceapi.Query{Sort: "updated_at"}, "a b c D "},
			{glanceapi.Query{Sort: "created_at", Ascending: true, Limit: 2}, "a b"},
			{glanceapi.Query{Sort: "name", Limit: 1}, "c"},
			{glanceapi.Query{Limit: 1, Status: "active"}, "D"},
			{glanceapi.Query{UpdatedSince: day(19)}, "b a"},
		} {
			if got := strings.Join(names(t, c, f.q), " "); got != f.want {
				t.Errorf("%+v: %q, want %q", f.q, got, f.want)
			}
		}
		for _, err := range c.Images(t.Context(), glanceapi.Query{MemberStatus: "pending"}) {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("a member status: %v", err)
			}
		}
		if r >= server.Essex {
			if got := names(t, c, glanceapi.Query{Owner: "q"}); len(got) != 1 {
				t.Errorf("by owner: %q", got)
			}
		}
	})
}

// Every image is listed once, and no request is made that brings nothing.
func TestV1Pages(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		if r != server.Cactus && r != server.Essex {
			t.Skip("the others are like these")
		}
		s.AddN(t, 1100, func(r *server.Record) { r.Visibility, r.Type = "public", "raw" })
		c := clientV1(t, s, "p")
		for _, f := range []struct {
			q        glanceapi.Query
			n        int
			requests int
		}{
			{glanceapi.Query{}, 1100, 2},
			{glanceapi.Query{Sort: "name"}, 1100, 2},
			{glanceapi.Query{Limit: 7}, 7, 1},
			{glanceapi.Query{Name: "image-00007"}, 1, 1},
		} {
			s.Reset()
			got := map[string]bool{}
			all := names(t, c, f.q)
			for _, n := range all {
				got[n] = true
			}
			want := f.requests
			if r < server.Diablo {
				want = 1
			}
			if len(all) != f.n || len(got) != f.n || len(s.Requests()) != want {
				t.Errorf("%+v: %d images, %d names, %d requests", f.q, len(all), len(got), len(s.Requests()))
			}
		}
	})
}
