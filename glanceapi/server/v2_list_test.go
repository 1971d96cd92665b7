package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type page struct {
	Images []struct {
		ID   string
		Name string
	}
	First, Next, Schema string
}

func (s *site) page(t *testing.T, token, path string) page {
	t.Helper()
	got := s.do(t, ask{method: "GET", path: path, token: token})
	var p page
	if err := json.Unmarshal([]byte(got.body), &p); got.status != 200 || err != nil {
		t.Fatalf("%s: %d %s %v", path, got.status, got.body, err)
	}
	return p
}

func (p page) names() string {
	var names []string
	for _, i := range p.Images {
		names = append(names, i.Name)
	}
	return strings.Join(names, " ")
}

// stock adds the images that the tests of lists use, the first the oldest.
func stock(t *testing.T, s *site) {
	t.Helper()
	base := time.Date(2026, 11, 22, 5, 3, 7, 500e3, time.UTC)
	for i, c := range []struct {
		rec  Record
		data string
	}{
		{Record{Name: new("alpha"), Owner: "demo", Visibility: "private", Tags: []string{"x86", "64bit"}, Properties: map[string]string{"os_distro": "debian"}}, "0123456789"},
		{Record{Name: new("beta"), Owner: "demo"}, strings.Repeat("b", 50)},
		{Record{Name: new("alpha2"), Owner: "demo", Visibility: "community"}, "a"},
		{Record{Name: new("with,comma"), Owner: "demo"}, "c"},
		{Record{Name: new("hidden"), Owner: "demo", Hidden: true}, "h"},
		{Record{Name: new("pub"), Owner: "adm", Visibility: "public", Protected: true}, "pubpub"},
		{Record{Name: new("ocomm"), Owner: "other", Visibility: "community"}, "oc"},
		{Record{Name: new("opriv"), Owner: "other", Visibility: "private"}, "op"},
		{Record{Name: new("oshared"), Owner: "other", Members: []Member{{ID: "demo", Status: "accepted"}}}, "os"},
		{Record{Name: new("opending"), Owner: "other", Members: []Member{{ID: "demo", Status: "pending"}}}, "od"},
	} {
		c.rec.CreatedAt = base.Add(time.Duration(i) * time.Second)
		s.put(t, c.rec, c.data)
	}
	if _, err := s.Add(Record{Owner: "demo", CreatedAt: base.Add(time.Hour)}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestList(t *testing.T) {
	s := newSite(t)
	stock(t, s)
	const mine = " oshared pub with,comma alpha2 beta alpha"
	for _, c := range []struct{ token, query, want string }{
		{demo, "", mine},
		{other, "", "opending oshared opriv ocomm pub"},
		{admin, "", " opending oshared opriv pub with,comma beta alpha"},
		{"", "", " opending oshared opriv pub with,comma beta alpha"},
		{demo, "visibility=all", " oshared ocomm pub with,comma alpha2 beta alpha"},
		{demo, "visibility=community", "ocomm alpha2"},
		{demo, "visibility=private", "alpha"},
		{demo, "visibility=shared", " oshared with,comma beta"},
		{demo, "visibility=shared&member_status=pending", " opending with,comma beta"},
		{demo, "visibility=shared&member_status=all", " opending oshared with,comma beta"},
		{demo, "os_hidden=true", "hidden"},
		{demo, "name=alpha", "alpha"},
		{demo, "name=eq:alpha", "alpha"},
		{demo, "name=in:alpha,beta", "beta alpha"},
		{demo, "name=in:%22with,comma%22,beta", "with,comma beta"},
		{demo, "name=eq:ubuntu:22.04", ""},
		{demo, "status=queued", ""},
		{demo, "status=in:queued,active&owner=demo", " with,comma alpha2 beta alpha"},
		{demo, "disk_format=in:raw,iso", "oshared pub with,comma alpha2 beta alpha"},
		{demo, "size_min=10", "beta alpha"},
		{demo, "size_min=6&size_max=49", "pub alpha"},
		{demo, "tag=x86&tag=64bit", "alpha"},
		{demo, "tag=x86&tag=other", ""},
		{demo, "os_distro=debian", "alpha"},
		{demo, "os_distro=in:debian,ubuntu", ""},
		{demo, "visiblity=public", ""},
		{demo, "protected=true", "pub"},
		{demo, "checksum=781e5e245d69b566979b86e28d23f2c7", "alpha"},
		{demo, "created_at=gte:2026-11-22T05:03:12Z", " oshared pub"},
		{demo, "created_at=lte:2026-11-22T05:03:07Z", ""},
		{demo, "created_at=eq:2026-11-22T05:03:07Z", ""},
		{demo, "created_at=lt:2026-11-22T05:03:08", "alpha"},
		{demo, "deleted=true", mine},
		{demo, "sort=name:asc&status=active", "alpha alpha2 beta oshared pub with,comma"},
		{demo, "sort=name:asc", " alpha alpha2 beta oshared pub with,comma"},
		{demo, "sort=name", "with,comma pub oshared beta alpha2 alpha "},
		{demo, "sort=size:asc,name:desc", " with,comma alpha2 oshared pub alpha beta"},
		{demo, "sort_key=size&sort_key=name&sort_dir=asc&sort_dir=desc", " with,comma alpha2 oshared pub alpha beta"},
		{demo, "sort_dir=asc", "alpha beta alpha2 with,comma pub oshared "},
		{demo, "limit=0", ""},
	} {
		if got := s.page(t, c.token, "/v2/images?"+c.query).names(); got != c.want {
			t.Errorf("as %s, %s: %q, want %q", c.token, c.query, got, c.want)
		}
	}
}

func TestListRefusals(t *testing.T) {
	s := newSite(t)
	private := s.put(t, Record{Owner: "other"}, "x")
	const keys = "It must be one of the following: name, status, container_format, disk_format, size, id, created_at, updated_at."
	for _, c := range []struct {
		query   string
		status  int
		message string
	}{
		{"visibility=nope", 400, "Invalid visibility value: nope"},
		{"name=ubuntu:22.04", 400, "Unable to filter by unknown operator 'ubuntu'."},
		{"name=in:%22a", 400, `Invalid filter value "a. The quote is not closed.`},
		{"name=in:%22a%22b", 400, `Invalid filter value "a"b. There is no comma after closing quotation mark.`},
		{"size_min=x", 400, "Unable to filter on a range with a non-numeric value."},
		{"os_hidden=maybe", 400, "Invalid value 'maybe' for 'os_hidden' filter. Valid values are 'true' or 'false'."},
		{"protected=maybe", 400, "Invalid value 'maybe' for 'protected' filter. Valid values are 'true' or 'false'."},
		{"member_status=xx", 400, "Invalid status: xx"},
		{"updated_at=gt:yesterday", 400, `Bad "updated_at" query filter format. Use ISO 8601 DateTime notation.`},
		{"created_at=xx:2026-11-22T05:03:07Z", 400, "Unable to filter on a unknown operator."},
		{"changes-since=2020-01-01T00:00:00Z", 400, `The "changes-since" filter is no longer available on v2.`},
		{"sort_key=owner", 400, "Invalid sort key: owner. " + keys},
		{"sort=name:up", 400, "Invalid sort direction: up"},
		{"sort=name:asc&sort_key=size", 400, "Old and new sorting syntax cannot be combined"},
		{"sort_key=name&sort_dir=asc&sort_dir=desc", 400, "Number of sort dirs does not match the number of sort keys"},
		{"limit=-1", 400, "limit param must be positive"},
		{"limit=x", 400, "limit param must be an integer"},
		{"marker=nope", 400, "No image found with ID nope"},
		{"marker=" + private, 403, "Forbidding request, image " + private + " not visible"},
	} {
		got := s.do(t, ask{method: "GET", path: "/v2/images?" + c.query, token: demo})
		if got.status != c.status || got.message() != c.message {
			t.Errorf("%s: %d %q, want %d %q", c.query, got.status, got.message(), c.status, c.message)
		}
	}
}

func TestPages(t *testing.T) {
	s := newSite(t)
	var want []string
	for range 60 {
		want = append(want, s.put(t, Record{}, "x"))
	}
	slices.Reverse(want)
	for _, query := range []string{"", "?limit=7", "?limit=30", "?limit=5000"} {
		var got []string
		requests := 0
		for path := "/v2/images" + query; path != ""; requests++ {
			p := s.page(t, "", path)
			for _, i := range p.Images {
				got = append(got, i.ID)
			}
			path = p.Next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q in %d pages:\n%s", query, requests, diff)
		}
	}
	full := s.page(t, "", "/v2/images?limit=60")
	if empty := s.page(t, "", full.Next); len(empty.Images) != 0 || empty.Next != "" {
		t.Errorf("behind a page that fits exactly: %+v", empty)
	}
}

func TestPageLinks(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Tags: []string{"a", "b"}}, "x")
	p := s.page(t, "", "/v2/images?tag=b&tag=a&limit=1&name=in:x,%20")
	if len(p.Images) != 0 || p.First != "/v2/images?tag=a&limit=1&name=in%3Ax%2C+" {
		t.Errorf("first is %q", p.First)
	}
	p = s.page(t, "", "/v2/images?tag=b&tag=a&limit=1")
	if want := "/v2/images?tag=a&limit=1&marker=" + id; p.Next != want || p.Schema != "/v2/schemas/images" {
		t.Errorf("next is %q, want %q", p.Next, want)
	}
}

func TestMaxLimit(t *testing.T) {
	s := newSite(t)
	for i := range 1001 {
		if _, err := s.Add(Record{Name: new(fmt.Sprint(i))}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if p := s.page(t, "", "/v2/images?limit=5000"); len(p.Images) != 1000 || p.Next == "" {
		t.Errorf("%d images, next %q", len(p.Images), p.Next)
	}
	if p := s.page(t, "", "/v2/images"); len(p.Images) != 25 || p.Images[0].Name != "1000" {
		t.Errorf("%d images by default", len(p.Images))
	}
}
