package glanceapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

func membersPath(id string) string { return "/v2/images/" + id + "/members" }

// members takes the refusal that images of another visibility than shared get
// for what it says: they have no members.
func (v v2) members(ctx context.Context, id string) ([]Member, error) {
	all, err := fetchList(ctx, v.conn, membersPath(id), "members", decodeMemberV2)
	if e, ok := refused(err, http.StatusForbidden); ok && strings.Contains(e.Message, "Only shared images have members") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(m Member) bool { return m.ID == "" }), nil
}

// memberFits refuses what v2 cannot express.
func memberFits(m Member) error {
	if m.CanShare != nil && *m.CanShare {
		return fmt.Errorf("member %s: can_share is unknown to v2: %w", m.ID, errors.ErrUnsupported)
	}
	return nil
}

// addMember takes the refusal of a member that is there already for success.
func (v v2) addMember(ctx context.Context, id string, m Member) error {
	if err := memberFits(m); err != nil {
		return err
	}
	doc, err := json.Marshal(map[string]string{"member": m.ID})
	if err != nil {
		return err
	}
	b, _, _, err := v.repeat(ctx, v.sending(http.MethodPost, membersPath(id), jsonMedia, doc, http.StatusOK, http.StatusCreated))
	if _, there := refused(err, http.StatusConflict); err != nil && !there {
		return err
	}
	had := "" // not known
	if err == nil {
		now, derr := decodeMemberV2(b)
		if derr != nil {
			return unreadable("POST "+membersPath(id), derr)
		}
		had = now.Status
	}
	if m.Status == "" || m.Status == had {
		return nil
	}
	return v.setMember(ctx, id, m)
}

func (v v2) setMember(ctx context.Context, id string, m Member) error {
	if err := memberFits(m); err != nil {
		return err
	}
	if m.Status == "" {
		return invalid("member %s: no status", m.ID)
	}
	doc, err := json.Marshal(map[string]string{"status": m.Status})
	if err != nil {
		return err
	}
	path := membersPath(id) + "/" + segment(m.ID)
	b, _, _, err := v.repeat(ctx, v.sending(http.MethodPut, path, jsonMedia, doc, http.StatusOK))
	if err != nil {
		return err
	}
	if _, err := decodeMemberV2(b); err != nil {
		return unreadable("PUT "+path, err)
	}
	return nil
}

func (v v2) removeMember(ctx context.Context, id, project string) error {
	return v.delete(ctx, membersPath(id)+"/"+segment(project))
}

// replaceMembers adds before it removes, so that nobody is shut out who is to
// stay in.
func (v v2) replaceMembers(ctx context.Context, id string, all []Member) error {
	have, err := v.members(ctx, id)
	if err != nil {
		return err
	}
	steps, err := v.memberSteps(id, have, all)
	if err != nil {
		return err
	}
	var done []string
	for i, s := range steps {
		if err := s.do(ctx); err != nil {
			var left []string
			for _, s := range steps[i:] {
				left = append(left, s.name)
			}
			return fmt.Errorf("members of image %s: done: %s; not done: %s: %w", id, list(done), list(left), err)
		}
		done = append(done, s.name)
	}
	return nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return oneLine(strings.Join(names, ", "))
}

// A step is one request of several.
type step struct {
	name string
	do   func(context.Context) error
}

// memberSteps puts last what is refused most: a status, which is for the member
// to set.
func (v v2) memberSteps(id string, have, want []Member) ([]step, error) {
	var adds, removes, sets []step
	for _, m := range want {
		if err := memberFits(m); err != nil {
			return nil, err
		}
		had, there := find(have, m.ID)
		if !there {
			had.Status = "pending"
			adds = append(adds, step{"add " + m.ID, func(ctx context.Context) error { return v.addMember(ctx, id, Member{ID: m.ID}) }})
		}
		if m.Status != "" && m.Status != had.Status {
			sets = append(sets, step{"make " + m.ID + " " + m.Status, func(ctx context.Context) error { return v.setMember(ctx, id, m) }})
		}
	}
	for _, h := range have {
		if _, stays := find(want, h.ID); !stays {
			removes = append(removes, step{"remove " + h.ID, func(ctx context.Context) error { return v.removeMember(ctx, id, h.ID) }})
		}
	}
	return slices.Concat(adds, removes, sets), nil
}

// memberLookups is how many images are asked about at once. A worker of the
// service answers one request at a time.
const memberLookups = 4

// memberImages lists what is shared. v2 has no list by member, but a listing
// for the caller's own project is one: a foreign image is in it because it is
// shared with the caller.
func (v v2) memberImages(ctx context.Context, project string) ([]MemberImage, error) {
	own := project == v.auth.project()
	var mu sync.Mutex
	shared := map[string]bool{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(memberLookups)
	err := walk(ctx, v, Query{Visibility: "shared", MemberStatus: "all"}, func(p Page) bool {
		for _, i := range p.Images {
			if !validID(i.ID) {
				continue
			}
			if own {
				mu.Lock()
				shared[i.ID] = i.Owner != project
				mu.Unlock()
				continue
			}
			group.Go(func() error {
				members, err := v.members(ctx, i.ID)
				if errors.Is(err, fs.ErrNotExist) {
					return nil // deleted meanwhile
				}
				mu.Lock()
				defer mu.Unlock()
				shared[i.ID] = slices.ContainsFunc(members, func(m Member) bool { return m.ID == project })
				return err
			})
		}
		return ctx.Err() == nil
	})
	if gerr := group.Wait(); gerr != nil {
		return nil, gerr
	}
	if err != nil {
		return nil, err
	}
	return memberImagesOf(shared), nil
}

func memberImagesOf(shared map[string]bool) []MemberImage {
	var all []MemberImage
	for _, id := range slices.Sorted(maps.Keys(shared)) {
		if shared[id] {
			all = append(all, MemberImage{ID: id})
		}
	}
	return all
}
