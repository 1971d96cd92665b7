package server

import (
	"fmt"
	"strings"
	"testing"
)

// The membership that ended is there still, and in the way.
func TestV1Members(t *testing.T) {
	for _, r := range []Release{Diablo, Essex, Queens} {
		s := newRelease(t, r)
		rec, err := s.Add(Record{Owner: "demo"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		members := "/v1/images/" + rec.ID + "/members"
		put := func(path, body string) int {
			return s.do(t, ask{method: "PUT", path: path, token: demo, body: body}).status
		}
		steps := []struct {
			status int
			want   string
			do     func() int
		}{
			{204, `{"member_id": "m", "can_share": false}`, func() int { return put(members+"/m", "") }},
			{204, `{"member_id": "m", "can_share": true}`, func() int { return put(members+"/m", `{"member": {"can_share": "false"}}`) }},
			{204, `{"member_id": "m", "can_share": true}`, func() int { return put(members+"/m", `{"can_share": false}`) }},
			{204, ``, func() int { return s.do(t, ask{method: "DELETE", path: members + "/m", token: demo}).status }},
			{map[Release]int{Essex: 500}[r], ``, func() int { return put(members+"/m", "") }},
			{map[Release]int{Essex: 500}[r], map[Release]string{Diablo: `{"member_id": "m", "can_share": true}`, Queens: `{"member_id": "m", "can_share": true}`}[r],
				func() int { return put(members+"/m", `{"member": {"can_share": true}}`) }},
			{204, `{"member_id": "n", "can_share": false}`, func() int { return put(members, `{"memberships": [{"member_id": "n"}]}`) }},
			{map[Release]int{Queens: 400}[r], `{"member_id": "n", "can_share": false}`, func() int { return put(members, `[{"member_id": "n"}]`) }},
		}
		for i, f := range steps {
			status := f.do()
			got := s.do(t, ask{method: "GET", path: members, token: demo}).body
			if want := `{"members": [` + f.want + `]}`; status != max(f.status, 204) || got != want {
				t.Errorf("release %d, step %d: %d, %s, want %d, %s", r, i, status, got, max(f.status, 204), want)
			}
		}
		if got := s.get(t, "/v1/shared-images/n"); r != Queens && !strings.Contains(got.body, `"can_share": false`) {
			t.Errorf("release %d: shared images %s", r, got.body)
		}
		if got := s.do(t, ask{method: "PUT", path: members + "/x", token: other}).status; got != 404 {
			t.Errorf("release %d: a stranger adds: %d", r, got)
		}
	}
}

// Who may see and do what.
func TestV1Tenants(t *testing.T) {
	for _, c := range []struct {
		r                       Release
		change, delete, publish int // of another's public image; and to make one's own public
	}{{Diablo, 404, 404, 200}, {Essex, 403, 403, 200}, {Queens, 403, 403, 403}} {
		s := newRelease(t, c.r)
		public, err := s.Add(Record{Owner: "demo", Visibility: "public"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		private, err := s.Add(Record{Owner: "demo"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []struct {
			method, id, token string
			want              int
		}{
			{"HEAD", public.ID, other, 200}, {"HEAD", private.ID, other, 404}, {"HEAD", private.ID, demo, 200},
			{"PUT", public.ID, other, c.change}, {"DELETE", public.ID, other, c.delete}, {"PUT", private.ID, other, 404}, {"DELETE", private.ID, other, 404},
		} {
			if got := s.do(t, ask{method: a.method, path: "/v1/images/" + a.id, token: a.token}); got.status != a.want {
				t.Errorf("release %d: %s: %d, want %d", c.r, a.method, got.status, a.want)
			}
		}
		got := s.do(t, ask{method: "PUT", path: "/v1/images/" + private.ID, token: demo, header: map[string]string{"x-image-meta-is-public": "true"}})
		if got.status != c.publish {
			t.Errorf("release %d: publish: %d", c.r, got.status)
		}
	}
}

// What an administrator of each release lists, by default and on request.
func TestV1Lists(t *testing.T) {
	count := func(s *site, query string) (int, int) {
		got := s.do(t, ask{method: "GET", path: s.Release.prefix() + "/images" + query})
		return got.status, strings.Count(got.body, `"id"`)
	}
	for query, want := range map[string][]string{
		"":                              {"200 1", "200 1", "200 1", "200 1", "200 1"},
		"?is_public=None":               {"200 1", "200 1", "200 2", "200 2", "200 2"},
		"?is_public=False":              {"200 1", "200 1", "200 1", "200 1", "200 1"},
		"?name=public":                  {"200 1", "200 1", "200 1", "200 1", "200 1"},
		"?name=private&is_public=None":  {"200 1", "200 1", "200 1", "200 1", "200 1"},
		"?name=ä":                       {"200 1", "200 1", "500 0", "500 0", "200 0"},
		"?size_min=x":                   {"200 1", "200 1", "200 0", "400 0", "400 0"},
		"?owner=x":                      {"200 1", "200 1", "200 1", "200 1", "200 1"},
		"?limit=0":                      {"200 1", "200 1", "200 0", "200 0", "200 0"},
		"?limit=x":                      {"200 1", "200 1", "400 0", "400 0", "400 0"},
		"?marker=77":                    {"200 1", "200 1", "400 0", "400 0", "400 0"},
		"?sort_key=owner":               {"200 1", "200 1", "400 0", "400 0", "400 0"},
		"?sort_key=name&sort_dir=asc":   {"200 1", "200 1", "200 1", "200 1", "200 1"},
		"?property-os=linux":            {"200 1", "200 1", "200 0", "200 0", "200 0"},
		"?changes-since=2000-01-01":     {"200 1", "200 1", "200 1", "200 2", "200 2"},
		"?changes-since=yesterday":      {"200 1", "200 1", "200 1", "400 0", "400 0"},
		"?protected=true":               {"200 1", "200 1", "200 1", "200 0", "200 0"},
		"?is_public=None&disk_format=x": {"200 1", "200 1", "200 0", "200 0", "200 0"},
	} {
		for i, w := range want {
			s := newRelease(t, Bexar+Release(i))
			for _, v := range []string{"public", "private", "deleted"} {
				rec, err := s.Add(Record{Name: &v, Visibility: strings.Replace(v, "deleted", "public", 1), Type: "raw"}, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				if v == "deleted" {
					s.do(t, ask{method: "DELETE", path: s.Release.prefix() + "/images/" + rec.ID})
				}
			}
			if status, n := count(s, query); fmt.Sprint(status, " ", n) != w {
				t.Errorf("release %d: %s: %d %d, want %s", s.Release, query, status, n, w)
			}
		}
	}
}
