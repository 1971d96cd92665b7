package glanceapi_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// clientAs is a client of project.
func clientAs(t *testing.T, s *glancetest.Server, project string) *glanceapi.Client {
	t.Helper()
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Token: "u:" + project + ":member", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// memberList is the members of an image in one line.
func memberList(t *testing.T, c *glanceapi.Client, id string) string {
	t.Helper()
	all, err := c.Members(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, m := range all {
		if m.CanShare != nil {
			words = append(words, fmt.Sprintf("%s=%v", m.ID, *m.CanShare))
		} else {
			words = append(words, m.ID+"="+m.Status)
		}
	}
	return strings.Join(words, " ")
}

func ownedBy(project string) func(*server.Record) {
	return func(r *server.Record) { r.Owner = project }
}

func TestMembersV2(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "one", []byte("x"), ownedBy("owner"))
	private := s.Add(t, "two", []byte("x"), ownedBy("owner"), func(r *server.Record) { r.Visibility = "private" })
	owner, a := clientAs(t, s, "owner"), clientAs(t, s, "a")
	ctx := t.Context()
	steps := []struct {
		name string
		do   func() error
		is   error
		want string
	}{
		{"add", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "a"}) }, nil, "a=pending"},
		{"accept", func() error { return a.SetMember(ctx, id, glanceapi.Member{ID: "a", Status: "accepted"}) }, nil, "a=accepted"},
		{"add again", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "a"}) }, nil, "a=accepted"},
		{"add more", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "b ä%"}) }, nil, "a=accepted b ä%=pending"},
		{"reject", func() error { return a.SetMember(ctx, id, glanceapi.Member{ID: "a", Status: "rejected"}) }, nil, "a=rejected b ä%=pending"},
		{"accept for others", func() error { return owner.SetMember(ctx, id, glanceapi.Member{ID: "a", Status: "accepted"}) }, fs.ErrPermission, "a=rejected b ä%=pending"},
		{"a bad status", func() error { return a.SetMember(ctx, id, glanceapi.Member{ID: "a", Status: "maybe"}) }, fs.ErrInvalid, "a=rejected b ä%=pending"},
		{"no status", func() error { return a.SetMember(ctx, id, glanceapi.Member{ID: "a"}) }, fs.ErrInvalid, "a=rejected b ä%=pending"},
		{"can_share", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "a", CanShare: new(true)}) }, errors.ErrUnsupported, "a=rejected b ä%=pending"},
		{"a member shares on", func() error { return a.AddMember(ctx, id, glanceapi.Member{ID: "c"}) }, fs.ErrPermission, "a=rejected b ä%=pending"},
		{"remove", func() error { return owner.RemoveMember(ctx, id, "b ä%") }, nil, "a=rejected"},
		{"remove again", func() error { return owner.RemoveMember(ctx, id, "b ä%") }, fs.ErrNotExist, "a=rejected"},
		{"nobody", func() error { return owner.AddMember(ctx, id, glanceapi.Member{}) }, fs.ErrInvalid, "a=rejected"},
		{"share a private image", func() error { return owner.AddMember(ctx, private, glanceapi.Member{ID: "a"}) }, fs.ErrPermission, "a=rejected"},
		{"no such image", func() error { return owner.AddMember(ctx, newID, glanceapi.Member{ID: "a"}) }, fs.ErrNotExist, "a=rejected"},
		{"not an id", func() error { return owner.RemoveMember(ctx, "..", "a") }, fs.ErrNotExist, "a=rejected"},
		{"replace", func() error {
			return owner.ReplaceMembers(ctx, id, []glanceapi.Member{{ID: "c"}, {ID: "a", CanShare: new(false)}, {ID: "d", Status: "pending"}})
		}, nil, "a=rejected c=pending d=pending"},
		{"replace by one twice", func() error {
			return owner.ReplaceMembers(ctx, id, []glanceapi.Member{{ID: "c"}, {ID: "c"}})
		}, fs.ErrInvalid, "a=rejected c=pending d=pending"},
		{"replace by none", func() error { return owner.ReplaceMembers(ctx, id, nil) }, nil, ""},
	}
	for _, f := range steps {
		if err := f.do(); !errors.Is(err, f.is) {
			t.Errorf("%s: %v, want %v", f.name, err, f.is)
		}
		if got := memberList(t, owner, id); got != f.want {
			t.Errorf("%s: %q, want %q", f.name, got, f.want)
		}
	}
}

// Each call may be repeated when its answer is lost.
func TestMembersAgain(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	id := s.Add(t, "one", []byte("x"))
	lose := func(method string) {
		s.SetFaults(glancetest.Fault{Match: func(r *http.Request) bool { return r.Method == method }, Break: glancetest.DropAnswer, Times: 1})
	}
	lose("POST")
	if err := c.AddMember(t.Context(), id, glanceapi.Member{ID: "a", Status: "accepted"}); err != nil || memberList(t, c, id) != "a=accepted" {
		t.Errorf("add: %v", err)
	}
	lose("PUT")
	if err := c.SetMember(t.Context(), id, glanceapi.Member{ID: "a", Status: "rejected"}); err != nil || memberList(t, c, id) != "a=rejected" {
		t.Errorf("set: %v", err)
	}
	lose("DELETE")
	if err := c.RemoveMember(t.Context(), id, "a"); err != nil || memberList(t, c, id) != "" {
		t.Errorf("remove: %v", err)
	}
}

// A replacement that fails half-way says how far it came.
func TestReplaceMembersFailsHalfWay(t *testing.T) {
	s := glancetest.New(t)
	c := newClient(t, s)
	id := s.Add(t, "one", []byte("x"))
	if err := c.AddMember(t.Context(), id, glanceapi.Member{ID: "old"}); err != nil {
		t.Fatal(err)
	}
	s.SetFaults(glancetest.Fault{Match: isDelete, Status: 403, Message: "not that one"})
	err := c.ReplaceMembers(t.Context(), id, []glanceapi.Member{{ID: "new"}})
	want := "members of image " + id + ": done: add new; not done: remove old: DELETE /v2/images/" + id + "/members/old: 403 Forbidden: not that one"
	if !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

func TestMemberImagesV2(t *testing.T) {
	s := glancetest.New(t)
	first := s.Add(t, "one", []byte("x"), ownedBy("owner"))
	second := s.Add(t, "two", []byte("x"), ownedBy("owner"))
	s.Add(t, "three", []byte("x"), ownedBy("a")) // shared with nobody
	owner, a := clientAs(t, s, "owner"), clientAs(t, s, "a")
	for id, who := range map[string]string{first: "a", second: "b"} {
		if err := owner.AddMember(t.Context(), id, glanceapi.Member{ID: who}); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []struct {
		c       *glanceapi.Client
		project string
		want    []glanceapi.MemberImage
	}{
		{owner, "a", []glanceapi.MemberImage{{ID: first}}},
		{owner, "b", []glanceapi.MemberImage{{ID: second}}},
		{owner, "owner", nil},
		{a, "a", []glanceapi.MemberImage{{ID: first}}},
		{a, "b", nil},
	} {
		got, err := f.c.MemberImages(t.Context(), f.project)
		if diff := cmp.Diff(f.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", f.project, err, diff)
		}
	}
}
