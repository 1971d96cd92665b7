package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVersions(t *testing.T) {
	s := newSite(t)
	s.Release = Zed
	for path, want := range map[string]int{
		"/":                                 300,
		"/versions":                         200,
		"/v1/images":                        300,
		"/images":                           300,
		"/v20/images":                       300,
		"/v2.8/images":                      300,
		"/v2":                               302,
		"/v2/":                              404,
		"/v2/images":                        200,
		"/v2.0/images":                      200,
		"/v2.15/images":                     200,
		"//v2//images":                      200,
		"/v2/images/":                       404,
		"/v2/images/../../versions":         404,
		"/v2/images/%2e%2e%2f%2e%2e%2fx":    404,
		"/v2/images/" + newUUID() + "/file": 404,
		"/healthcheck":                      200,
		"/v2/info/stores":                   404,
		"/v2/info/usage":                    200,
		"/v2/info/import":                   200,
	} {
		if got := s.get(t, path); got.status != want {
			t.Errorf("GET %s: %d, want %d", path, got.status, want)
		} else if id := got.header.Get("X-Openstack-Request-Id"); !strings.HasPrefix(id, "req-") {
			t.Errorf("GET %s: request id %q", path, id)
		}
	}
	var doc struct {
		Versions []struct {
			ID, Status string
			Links      []struct{ Rel, Href string }
		}
	}
	if err := json.Unmarshal([]byte(s.get(t, "/").body), &doc); err != nil {
		t.Fatal(err)
	}
	if v := doc.Versions[0]; v.ID != "v2.15" || v.Status != "CURRENT" || v.Links[0].Href != s.url+"/v2/" {
		t.Errorf("the first version is %+v", v)
	}
	for _, name := range []string{"image", "images", "member", "members"} {
		if got := s.get(t, "/v2/schemas/"+name); got.field("name") != name {
			t.Errorf("schema %s: %s", name, got.body)
		}
	}
}

func TestMethods(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{}, "x")
	for path, want := range map[string]string{
		"/v2/images":                 "GET, POST",
		"/v2/images/" + id:           "GET, PATCH, DELETE",
		"/v2/images/" + id + "/file": "GET, PUT",
	} {
		got := s.do(t, ask{method: "HEAD", path: path})
		if got.status != 405 || got.header.Get("Allow") != want {
			t.Errorf("HEAD %s: %d, Allow %q, want 405, %q", path, got.status, got.header.Get("Allow"), want)
		}
	}
}

func TestErrorForms(t *testing.T) {
	s := newSite(t)
	path := "/v2/images/00000000-0000-4000-8000-000000000000"
	text := "No image found with ID 00000000-0000-4000-8000-000000000000"
	for accept, want := range map[string]reply{
		"application/json": {header: http.Header{"Content-Type": {"application/json"}},
			body: `{"message": "` + text + `<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"}`},
		"text/plain": {header: http.Header{"Content-Type": {"text/plain; charset=UTF-8"}},
			body: "404 Not Found\n\n" + text + "\n\n\n"},
		"*/*": {header: http.Header{"Content-Type": {"text/html; charset=UTF-8"}},
			body: "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  " + text + "<br /><br />\n\n\n\n </body>\n</html>"},
	} {
		got := s.do(t, ask{method: "GET", path: path, header: map[string]string{"Accept": accept}})
		if got.status != 404 || got.header.Get("Content-Type") != want.header.Get("Content-Type") || got.body != want.body {
			t.Errorf("Accept %s: %d %s %q, want %q", accept, got.status, got.header.Get("Content-Type"), got.body, want.body)
		}
	}
}

func TestTokens(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo", Visibility: "private"}, "x")
	for _, c := range []struct {
		token string
		want  int
		must  int // with RequireToken
	}{
		{"", 200, 401}, {"gAAAAA", 200, 401}, {"u::member", 200, 401},
		{demo, 200, 200}, {other, 404, 404}, {admin, 200, 200},
	} {
		for _, must := range []bool{false, true} {
			s.RequireToken = must
			want := c.want
			if must {
				want = c.must
			}
			if got := s.do(t, ask{method: "GET", path: "/v2/images/" + id, token: c.token}); got.status != want {
				t.Errorf("token %q, required %v: %d, want %d", c.token, must, got.status, want)
			}
		}
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	first := startSite(t, dir)
	name := "caf\xe9 \x00"
	kept := first.put(t, Record{
		Name: &name, Owner: "demo", Tags: []string{"b", "a"}, Properties: map[string]string{"": "empty", "x/y": "1"},
		Members: []Member{{ID: "other", Status: "pending"}},
	}, "kept")
	gone := first.put(t, Record{}, "gone")
	if got := first.do(t, ask{method: "DELETE", path: "/v2/images/" + gone}); got.status != 204 {
		t.Fatal(got)
	}
	saving, err := first.Add(Record{Status: statusSaving}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp", "data-1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before, _ := first.Image(kept)

	second := startSite(t, dir)
	after, ok := second.Image(kept)
	if diff := cmp.Diff(before, after); !ok || diff != "" {
		t.Errorf("record changed:\n%s", diff)
	}
	if got := second.get(t, "/v2/images/"+kept+"/file"); got.body != "kept" {
		t.Errorf("data is %q", got.body)
	}
	if !strings.Contains(second.get(t, "/v2/images/"+kept).body, "\"caf\xe9 \\u0000\"") {
		t.Error("the name's bytes are not passed through")
	}
	if got := second.do(t, ask{method: "POST", path: "/v2/images", body: `{"id":"` + gone + `"}`}); got.status != 409 {
		t.Errorf("id of a deleted image: %d, want 409", got.status)
	}
	if got := second.get(t, "/v2/images/"+saving.ID).field("status"); got != "queued" {
		t.Errorf("an upload that the restart cut off is %v, want queued", got)
	}
	for _, sub := range []string{"tmp", "data"} {
		files, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Name() != kept {
				t.Errorf("%s was left in %s", f.Name(), sub)
			}
		}
	}
}

func TestAddRefusesBadID(t *testing.T) {
	s := newSite(t)
	for _, id := range []string{"../../../../../../../../tmp/escaped-00", "x", strings.Repeat("a", 36)} {
		if _, err := s.Add(Record{ID: id}, nil); err == nil {
			t.Errorf("Add took the id %q", id)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	s := newSite(t)
	const n = 8
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			body := strings.Repeat(fmt.Sprint(i), 100_000)
			made := s.do(t, ask{method: "POST", path: "/v2/images", body: `{"disk_format":"raw","container_format":"bare"}`})
			path := "/v2/images/" + made.field("id").(string)
			s.do(t, ask{method: "PUT", path: path + "/file", media: octets, body: body})
			s.do(t, ask{method: "PUT", path: path + "/tags/t"})
			s.do(t, ask{method: "PATCH", path: path, media: patchV21, body: `[{"op":"add","path":"/p","value":"v"}]`})
			s.get(t, "/v2/images")
			if got := s.get(t, path+"/file"); got.body != body {
				t.Errorf("image %d has %d bytes of other data", i, len(got.body))
			}
			if i%2 == 0 {
				s.do(t, ask{method: "DELETE", path: path})
			}
		})
	}
	wg.Wait()
	if got := s.get(t, "/v2/images").field("images").([]any); len(got) != n/2 {
		t.Errorf("%d images are left, want %d", len(got), n/2)
	}
}
