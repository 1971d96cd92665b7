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

func TestV1Members(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		owner := clientV1(t, s, "owner")
		id := s.Add(t, "one", []byte("x"), ownedBy("owner"))
		ctx := t.Context()
		if r < server.Diablo {
			if err := owner.AddMember(ctx, id, glanceapi.Member{ID: "a"}); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("add: %v", err)
			}
			if all, err := owner.Members(ctx, id); err != nil || all != nil {
				t.Errorf("%v, %v", all, err)
			}
			if _, err := owner.MemberImages(ctx, "a"); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("images: %v", err)
			}
			return
		}
		back := error(nil)
		if r == server.Essex {
			back = glanceapi.ErrConflict // which cannot take a member back
		}
		other := clientAs(t, s, "other")
		if r == server.Queens {
			c, err := glanceapi.New(ctx, glanceapi.Config{Endpoint: s.URL, Token: "u:other:member", APIVersion: "v1", Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			other = c
		}
		public := s.Add(t, "two", []byte("x"), ownedBy("owner"), func(r *server.Record) { r.Visibility = "public" })
		for _, f := range []struct {
			name string
			do   func() error
			is   error
			want string
		}{
			{"add", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "tenant1"}) }, nil, "tenant1=false"},
			{"add one that may share", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "tenant2", CanShare: new(true)}) }, nil, "tenant1=false tenant2=true"},
			{"add again", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "tenant2"}) }, nil, "tenant1=false tenant2=true"},
			{"set", func() error { return owner.SetMember(ctx, id, glanceapi.Member{ID: "tenant1", CanShare: new(true)}) }, nil, "tenant1=true tenant2=true"},
			{"set a stranger", func() error { return owner.SetMember(ctx, id, glanceapi.Member{ID: "x", CanShare: new(true)}) }, fs.ErrNotExist, "tenant1=true tenant2=true"},
			{"set nothing", func() error { return owner.SetMember(ctx, id, glanceapi.Member{ID: "tenant1"}) }, fs.ErrInvalid, "tenant1=true tenant2=true"},
			{"a status", func() error { return owner.AddMember(ctx, id, glanceapi.Member{ID: "x", Status: "accepted"}) }, errors.ErrUnsupported, "tenant1=true tenant2=true"},
			{"remove", func() error { return owner.RemoveMember(ctx, id, "tenant1") }, nil, "tenant2=true"},
			{"remove again", func() error { return owner.RemoveMember(ctx, id, "tenant1") }, fs.ErrNotExist, "tenant2=true"},
			{"replace, keeping", func() error {
				return owner.ReplaceMembers(ctx, id, []glanceapi.Member{{ID: "tenant2"}, {ID: "tenant3"}})
			}, nil, "tenant2=true tenant3=false"},
			{"replace", func() error {
				return owner.ReplaceMembers(ctx, id, []glanceapi.Member{{ID: "tenant2", CanShare: new(false)}, {ID: "tenant3", CanShare: new(true)}})
			}, nil, "tenant2=false tenant3=true"},
			{"a stranger", func() error { return other.AddMember(ctx, public, glanceapi.Member{ID: "other"}) }, fs.ErrPermission, "tenant2=false tenant3=true"},
			{"a stranger, unseen", func() error { return other.AddMember(ctx, id, glanceapi.Member{ID: "other"}) }, fs.ErrNotExist, "tenant2=false tenant3=true"},
		} {
			if err := f.do(); !errors.Is(err, f.is) {
				t.Errorf("%s: %v, want %v", f.name, err, f.is)
			}
			if got := memberList(t, owner, id); got != f.want {
				t.Errorf("%s: %q, want %q", f.name, got, f.want)
			}
		}
		if err := owner.AddMember(ctx, id, glanceapi.Member{ID: "tenant1"}); !errors.Is(err, back) {
			t.Errorf("take back: %v, want %v", err, back)
		}
		got, err := owner.MemberImages(ctx, "tenant3")
		if diff := cmp.Diff([]glanceapi.MemberImage{{ID: id, CanShare: new(true)}}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	})
}

// A member that may share an image on does. The last releases show it nobody but itself,
// so whether that was done cannot be seen, and is not denied.
func TestV1Reshared(t *testing.T) {
	eachRelease(t, func(t *testing.T, s *glancetest.Server, r server.Release) {
		if r < server.Diablo {
			t.Skip("no members")
		}
		owner := clientV1(t, s, "owner")
		id := s.Add(t, "one", []byte("x"), ownedBy("owner"))
		if err := owner.AddMember(t.Context(), id, glanceapi.Member{ID: "other", CanShare: new(true)}); err != nil {
			t.Fatal(err)
		}
		c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Token: "u:other:member", APIVersion: "v1", Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		err = c.AddMember(t.Context(), id, glanceapi.Member{ID: "third"})
		if unseen := err != nil && strings.Contains(err.Error(), "does not show it"); unseen != (r == server.Queens) || err != nil && !unseen {
			t.Errorf("%v", err)
		}
		if got := memberList(t, owner, id); got != "other=true third=false" {
			t.Errorf("%q", got)
		}
	})
}
