package glanceapi_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// menagerie adds images of which no two are alike, the one without a name last.
func menagerie(t *testing.T, s *glancetest.Server) {
	t.Helper()
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for n, r := range []server.Record{
		{Name: new("a"), DiskFormat: "raw", ContainerFormat: "bare", Visibility: "public", Owner: "p", Tags: []string{"x", "y"}},
		{Name: new("b"), DiskFormat: "qcow2", ContainerFormat: "bare", Visibility: "private", Owner: "q", Tags: []string{"y"}, Protected: true},
		{Name: new("c"), DiskFormat: "iso", ContainerFormat: "ovf", Visibility: "shared", Owner: "p", Properties: map[string]string{"os": "debian"}},
		{Name: new("D"), DiskFormat: "raw", ContainerFormat: "bare", Visibility: "community", Owner: "p", Properties: map[string]string{"os": "Debian", "limit": "1"}},
	} {
		r.CreatedAt, r.UpdatedAt = day(n+1), day(20-n)
		s.Add(t, "", make([]byte, []int{0, 30, 20, 10}[n]), func(to *server.Record) { *to = r })
	}
	s.AddQueued(t, "", func(to *server.Record) {
		*to = server.Record{Visibility: "private", CreatedAt: day(9), UpdatedAt: day(9)}
	})
}

func TestQuery(t *testing.T) {
	s := glancetest.New(t)
	menagerie(t, s)
	c := newClient(t, s)
	for _, f := range []struct {
		q    glanceapi.Query
		want string // names in order
	}{
		{glanceapi.Query{}, " c b a"},
		{glanceapi.Query{Visibility: "all"}, " D c b a"},
		{glanceapi.Query{Name: "a"}, "a"},
		{glanceapi.Query{Name: "A"}, ""},
		{glanceapi.Query{Status: "queued"}, ""},
		{glanceapi.Query{Status: "active", Ascending: true}, "a b c"},
		{glanceapi.Query{ContainerFormat: "ovf"}, "c"},
		{glanceapi.Query{DiskFormat: "qcow2"}, "b"},
		{glanceapi.Query{SizeMin: new(int64(20))}, "c b"},
		{glanceapi.Query{SizeMax: new(int64(20))}, "c a"},
		{glanceapi.Query{SizeMax: new(int64(0))}, "a"},
		{glanceapi.Query{SizeMin: new(int64(20)), SizeMax: new(int64(20))}, "c"},
		{glanceapi.Query{Visibility: "public"}, "a"},
		{glanceapi.Query{Visibility: "private"}, " b"},
		{glanceapi.Query{Visibility: "community"}, "D"},
		{glanceapi.Query{Public: new(true)}, "a"},
		{glanceapi.Query{Public: new(false)}, " c b"},
		{glanceapi.Query{Owner: "p"}, "c a"},
		{glanceapi.Query{Tags: []string{"y"}}, "b a"},
		{glanceapi.Query{Tags: []string{"y", "x"}}, "a"},
		{glanceapi.Query{Protected: new(true)}, "b"},
		{glanceapi.Query{Protected: new(false)}, " c a"},
		{glanceapi.Query{MemberStatus: "all"}, "c"},
		{glanceapi.Query{Properties: map[string]string{"os": "debian"}}, "c"},
		{glanceapi.Query{Properties: map[string]string{"os": "in:debian"}}, ""},
		{glanceapi.Query{Properties: map[string]string{"os": "Debian", "limit": "1"}, Visibility: "all"}, "D"},
		{glanceapi.Query{UpdatedSince: time.Date(2026, 1, 19, 0, 0, 0, 0, time.UTC)}, "b a"},
		{glanceapi.Query{Sort: "name"}, "c b a "},
		{glanceapi.Query{Sort: "name", Ascending: true}, " a b c"},
		{glanceapi.Query{Sort: "size"}, "b c a "},
		{glanceapi.Query{Sort: "size", Ascending: true}, " a c b"},
		{glanceapi.Query{Sort: "disk_format", Ascending: true}, " c b a"},
		{glanceapi.Query{Sort: "container_format"}, "c b a "},
		{glanceapi.Query{Sort: "status", Ascending: true}, "a b c "},
		{glanceapi.Query{Sort: "updated_at"}, "a b c "},
		{glanceapi.Query{Sort: "created_at", Ascending: true, Limit: 2}, "a b"},
		{glanceapi.Query{Limit: 1, Public: new(false), Status: "active"}, "c"},
	} {
		if got := strings.Join(names(t, c, f.q), " "); got != f.want {
			t.Errorf("%+v: %q, want %q", f.q, got, f.want)
		}
	}
}

func TestQueryRefused(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	s.Reset()
	for _, q := range []glanceapi.Query{{Sort: "owner"}, {Limit: -1}, {Visibility: "secret"}, {MemberStatus: "maybe"}} {
		for _, err := range c.Images(t.Context(), q) {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A limit asks for the images it wants and no others.
func TestQueryLimit(t *testing.T) {
	s := glancetest.New(t)
	s.AddN(t, 250)
	c := newClient(t, s)
	for limit, query := range map[int][]string{
		1:   {"limit=1"},
		100: {"limit=100"},
		120: {"limit=100", "limit=100"},
		250: {"limit=100", "limit=100", "limit=100"},
		300: {"limit=100", "limit=100", "limit=100"},
	} {
		s.Reset()
		if n := len(names(t, c, glanceapi.Query{Limit: limit})); n != min(limit, 250) {
			t.Errorf("limit %d: %d images", limit, n)
		}
		var got []string
		for _, r := range s.Requests() {
			first, _, _ := strings.Cut(r.Query, "&")
			got = append(got, first)
		}
		if diff := cmp.Diff(query, got); diff != "" {
			t.Errorf("limit %d: (-want +got)\n%s", limit, diff)
		}
	}
}
