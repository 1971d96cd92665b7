package glanceapi

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
)

// Members returns the projects an image is shared with, in the service's
// order; none for an image whose visibility does not allow any. A service may
// show a member only itself.
func (c *Client) Members(ctx context.Context, id string) ([]Member, error) {
	if !validID(id) {
		return nil, fmt.Errorf("image %q: %w", id, fs.ErrNotExist)
	}
	return c.api.members(ctx, id)
}

// AddMember shares an image with a project. A project it is shared with already
// stays as it is, but for what m says: on v1 CanShare, which is false for a new
// member if it is nil, on v2 Status, which is pending for a new one if it is "".
func (c *Client) AddMember(ctx context.Context, id string, m Member) error {
	if err := checkMembers(id, m); err != nil {
		return err
	}
	return c.api.addMember(ctx, id, m)
}

// SetMember changes what m says of a project the image is shared with: on v1
// CanShare, on v2 Status, which only that project itself may do. It is
// fs.ErrNotExist if the project is no member.
func (c *Client) SetMember(ctx context.Context, id string, m Member) error {
	if err := checkMembers(id, m); err != nil {
		return err
	}
	return c.api.setMember(ctx, id, m)
}

// RemoveMember ends the sharing of an image with a project. It is
// fs.ErrNotExist if the project is no member and the service tells.
func (c *Client) RemoveMember(ctx context.Context, id, project string) error {
	if err := checkMembers(id, Member{ID: project}); err != nil {
		return err
	}
	return c.api.removeMember(ctx, id, project)
}

// ReplaceMembers shares an image with exactly the projects of all. A nil
// CanShare or a Status of "" keeps what a project had. On v1 it is one request.
// On v2 it is one for each difference, projects being added before others are
// removed, and statuses set last; a failure between them names what was done and
// what was not.
func (c *Client) ReplaceMembers(ctx context.Context, id string, all []Member) error {
	if err := checkMembers(id, all...); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.ID] {
			return invalid("member %.80q is named twice", m.ID)
		}
		seen[m.ID] = true
	}
	return c.api.replaceMembers(ctx, id, all)
}

// MemberImages returns the images that are shared with a project, as far as the
// service tells. On v1 that is one request. On v2 it is one for each page of
// shared images if project is the caller's own; for another one, and where the
// caller's is not known because its token came from outside, it takes one more
// for each shared image, and finds images the caller owns.
func (c *Client) MemberImages(ctx context.Context, project string) ([]MemberImage, error) {
	if err := checkMembers("1", Member{ID: project}); err != nil {
		return nil, err
	}
	return c.api.memberImages(ctx, project)
}

func checkMembers(id string, all ...Member) error {
	if !validID(id) {
		return fmt.Errorf("image %q: %w", id, fs.ErrNotExist)
	}
	for _, m := range all {
		if m.ID == "" {
			return invalid("a member without an id")
		}
		if err := checkUTF8(m.ID); err != nil {
			return err
		}
	}
	return nil
}

// find returns the member that project is.
func find(all []Member, project string) (Member, bool) {
	i := slices.IndexFunc(all, func(m Member) bool { return m.ID == project })
	if i < 0 {
		return Member{}, false
	}
	return all[i], true
}

// segment escapes what is one element of a path, whatever it is.
func segment(s string) string {
	if strings.Trim(s, ".") == "" {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}
