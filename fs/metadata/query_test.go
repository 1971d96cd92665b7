package metadata

import (
	"errors"
	iofs "io/fs"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancefs/glanceapi"
)

func TestParseQuery(t *testing.T) {
	for expr, want := range map[string]glanceapi.Query{
		"name=disk":                        {Name: "disk"},
		"name=a%2Cb%3Dc%25%2F":             {Name: "a,b=c%/"},
		"name=a=b":                         {Name: "a=b"},
		"name=a+b":                         {Name: "a+b"},
		"status=active,size_min=0":         {Status: "active", SizeMin: new(int64(0))},
		"size_max=5368709120":              {SizeMax: new(int64(5368709120))},
		"container_format=ovf":             {ContainerFormat: "ovf"},
		"disk_format=qcow2,is_public=true": {DiskFormat: "qcow2", Public: new(true)},
		"visibility=all,owner=me":          {Visibility: "all", Owner: "me"},
		"tag=a,tag=b":                      {Tags: []string{"a", "b"}},
		"protected=0":                      {Protected: new(false)},
		"member_status=all":                {MemberStatus: "all"},
		"property-os=":                     {Properties: map[string]string{"os": ""}},
		"property-a%3Db=c":                 {Properties: map[string]string{"a=b": "c"}},
		"sort_key=name,sort_dir=asc":       {Sort: "name", Ascending: true},
		"sort_dir=desc,limit=7":            {Limit: 7},
	} {
		got, err := ParseQuery(expr)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", expr, err, diff)
		}
	}
	for _, expr := range []string{
		"", ",", "name", "name=", "name=a,", "name=a,name=b", "=x", "nosuch=1", "property-=1", "property=1", "Name=a", "size_min=-1",
		"size_min=1.5", "size_max=99999999999999999999", "is_public=", "is_public=perhaps", "visibility=secret", "member_status=",
		"sort_key=owner", "sort_dir=up", "limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "name=%", "name=%zz",
		"name=%00", "name=%ff", "property-%ff=x", "tag=",
	} {
		if q, err := ParseQuery(expr); !errors.Is(err, iofs.ErrInvalid) {
			t.Errorf("%q: %+v, %v", expr, q, err)
		}
	}
}

// FuzzQuery: whatever a directory of query/ is called, it is a query that the
// client takes, or refused as invalid; and one that is taken has its own spelling.
func FuzzQuery(f *testing.F) {
	f.Add("name=disk,tag=a,tag=b,sort_key=size,sort_dir=asc,limit=3")
	f.Add("property-a%3Db=c%2C%C3%A9,size_min=0,size_max=9,is_public=1")
	f.Add("visibility=all,member_status=pending,owner=x,protected=false,status=active")
	f.Fuzz(func(t *testing.T, expr string) {
		q, err := ParseQuery(expr)
		if err != nil {
			if !errors.Is(err, iofs.ErrInvalid) {
				t.Fatalf("%q: %v", expr, err)
			}
			return
		}
		if q.Name != "" {
			again, err := ParseQuery("name=" + strings.ReplaceAll(url.PathEscape(q.Name), ",", "%2C"))
			if err != nil || again.Name != q.Name {
				t.Fatalf("%q is not to be asked for: %q, %v", q.Name, again.Name, err)
			}
		}
		for key, value := range q.Properties {
			escape := func(s string) string { return strings.NewReplacer(",", "%2C", "=", "%3D").Replace(url.PathEscape(s)) }
			again, err := ParseQuery(propertyPrefix + escape(key) + "=" + escape(value))
			if err != nil || again.Properties[key] != value || len(again.Properties) != 1 {
				t.Fatalf("%q=%q: %+v, %v", key, value, again, err)
			}
		}
	})
}
