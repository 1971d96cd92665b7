package glanceapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
)

// What is told of members here is worked around in every release: can_share is
// always sent, as a boolean, because without it a project that was a member once
// is not taken back, and any text is true; what was changed is read again,
// because some changes are answered with success and not made.

// members are none where there is no such thing yet.
func (v v1) members(ctx context.Context, id string) ([]Member, error) {
	if v.old() {
		return nil, nil
	}
	all, err := fetchList(ctx, v.conn, v.path(id)+"/members", "members", decodeMemberV1)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{"": true} // the last releases can have a member twice
	return slices.DeleteFunc(all, func(m Member) bool {
		again := seen[m.ID]
		seen[m.ID] = true
		return again
	}), nil
}

// memberFits refuses what v1, or this release of it, cannot express.
func (v v1) memberFits(m Member) error {
	if m.Status != "" {
		return unsupported("member %s: a status", m.ID)
	}
	return v.hasMembers()
}

func (v v1) hasMembers() error {
	if v.old() {
		return fmt.Errorf("this service is too old to have members: %w", errors.ErrUnsupported)
	}
	return nil
}

func (v v1) addMember(ctx context.Context, id string, m Member) error {
	if err := v.memberFits(m); err != nil {
		return err
	}
	have, err := v.members(ctx, id)
	if err != nil {
		return err
	}
	if _, there := find(have, m.ID); there && m.CanShare == nil {
		return nil
	}
	if m.CanShare == nil {
		m.CanShare = new(false)
	}
	return v.putMember(ctx, id, m)
}

func (v v1) setMember(ctx context.Context, id string, m Member) error {
	if err := v.memberFits(m); err != nil {
		return err
	}
	if m.CanShare == nil {
		return invalid("member %s: no can_share", m.ID)
	}
	have, err := v.members(ctx, id)
	if err != nil {
		return err
	}
	if _, there := find(have, m.ID); !there {
		return fmt.Errorf("member %s of image %s: %w", m.ID, id, fs.ErrNotExist)
	}
	return v.putMember(ctx, id, m)
}

func (v v1) putMember(ctx context.Context, id string, m Member) error {
	doc, err := json.Marshal(map[string]any{"member": map[string]bool{"can_share": *m.CanShare}})
	if err != nil {
		return err
	}
	if err := v.sendMembers(ctx, id, v.path(id)+"/members/"+segment(m.ID), doc); err != nil {
		return err
	}
	return v.tookMembers(ctx, id, membership{m.ID, *m.CanShare})
}

// A membership is what v1 is sent of a member.
type membership struct {
	ID       string `json:"member_id"`
	CanShare bool   `json:"can_share"`
}

// tookMembers checks that the service has done what it was sent.
func (v v1) tookMembers(ctx context.Context, id string, want ...membership) error {
	have, err := v.members(ctx, id)
	if err != nil {
		return err
	}
	for _, w := range want {
		now, there := find(have, w.ID)
		switch {
		case !there:
			return fmt.Errorf("member %s of image %s: the service says it is done, and does not show it; to whom an image is shared with, the last releases show nobody else: %w", w.ID, id, ErrConflict)
		case *now.CanShare != w.CanShare:
			return fmt.Errorf("member %s of image %s: the service says it is done, and it is not: %w", w.ID, id, ErrConflict)
		}
	}
	return nil
}

// sendMembers sends a change. One release cannot take a project back, and fails
// when it is asked to.
func (v v1) sendMembers(ctx context.Context, id, path string, doc []byte) error {
	_, _, _, err := v.repeat(ctx, v.sending(http.MethodPut, path, jsonMedia, doc, http.StatusNoContent, http.StatusOK))
	return v.exists(ctx, id, plain(err, ErrConflict))
}

// removeMember tells a project that is no member from a caller who may not.
func (v v1) removeMember(ctx context.Context, id, project string) error {
	if err := v.hasMembers(); err != nil {
		return err
	}
	have, err := v.members(ctx, id)
	if err != nil {
		return err
	}
	if _, there := find(have, project); !there {
		return fmt.Errorf("member %s of image %s: %w", project, id, fs.ErrNotExist)
	}
	return v.exists(ctx, id, v.delete(ctx, v.path(id)+"/members/"+segment(project)))
}

// replaceMembers is one request, but for reading what is to be kept.
func (v v1) replaceMembers(ctx context.Context, id string, all []Member) error {
	for _, m := range all {
		if err := v.memberFits(m); err != nil {
			return err
		}
	}
	if err := v.hasMembers(); err != nil {
		return err
	}
	have, err := v.members(ctx, id)
	if err != nil {
		return err
	}
	want := make([]membership, 0, len(all))
	for _, m := range all {
		had, _ := find(have, m.ID)
		if m.CanShare == nil {
			m.CanShare = had.CanShare
		}
		want = append(want, membership{m.ID, m.CanShare != nil && *m.CanShare})
	}
	doc, err := json.Marshal(map[string]any{"memberships": want})
	if err != nil {
		return err
	}
	if err := v.sendMembers(ctx, id, v.path(id)+"/members", doc); err != nil {
		return err
	}
	return v.tookMembers(ctx, id, want...)
}

func (v v1) memberImages(ctx context.Context, project string) ([]MemberImage, error) {
	if err := v.hasMembers(); err != nil {
		return nil, err
	}
	all, err := fetchList(ctx, v.conn, v.prefix+"/shared-images/"+segment(project), "shared_images", decodeMemberImageV1)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(i MemberImage) bool { return !validID(i.ID) }), nil
}
