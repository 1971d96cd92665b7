package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// share changes who an image is shared with, by do, which is given who that is at
// present: it is asked for, because others share images too. What comes of it is
// asked for when somebody wants to know.
func (t *tree) share(ctx context.Context, id string, do func(context.Context, []glanceapi.Member) error) error {
	return t.alter(ctx, id, func(ctx context.Context) error {
		have, err := t.service.Members(ctx, id)
		if err != nil {
			return err
		}
		err = do(ctx, have)
		t.catalog.Reshared(id)
		t.staleFound(id)
		return t.unshareable(id, err)
	})
}

// unshareable adds to a refusal what the service does not say: that v2 lets only
// shared images have members.
func (t *tree) unshareable(id string, err error) error {
	img, known := t.catalog.Known(id)
	if !known || t.service.Version() == "v1" || img.Visibility == "shared" || !errors.Is(err, iofs.ErrPermission) {
		return err
	}
	return fmt.Errorf("the visibility of the image is %s, and only shared images have members: %w", img.Visibility, err)
}

// memberIn returns what a list says of a project.
func memberIn(list []glanceapi.Member, who string) (glanceapi.Member, bool) {
	i := slices.IndexFunc(list, func(m glanceapi.Member) bool { return m.ID == who })
	if i < 0 {
		return glanceapi.Member{}, false
	}
	return list[i], true
}

// putMember makes one member of an image what was written of it.
func (t *tree) putMember(ctx context.Context, id, who string, text []byte) error {
	m, err := metadata.ReadMember(text)
	if err != nil {
		return err
	}
	if m.ID != "" && m.ID != who {
		return fmt.Errorf("member_id cannot be changed: %w", iofs.ErrInvalid)
	}
	m.ID = who
	return t.share(ctx, id, func(ctx context.Context, have []glanceapi.Member) error {
		had, _ := memberIn(have, who)
		if m.Status == had.Status {
			m.Status = ""
		}
		if m.CanShare != nil && had.CanShare != nil && *m.CanShare == *had.CanShare {
			m.CanShare = nil
		}
		if m.Status == "" && m.CanShare == nil {
			return nil
		}
		err := t.service.SetMember(ctx, id, m)
		if err == nil && m.Status != "" {
			t.catalog.Joined(id, m.Status == "accepted")
			img, _ := t.catalog.Known(id)
			t.renamed(img) // which lists it, or no more
		}
		return err
	})
}

// putMembers shares an image with the projects of a list that was written, and no
// others.
func (t *tree) putMembers(ctx context.Context, id string, text []byte) error {
	want, err := metadata.ReadMembers(text)
	if err != nil {
		return err
	}
	return t.share(ctx, id, func(ctx context.Context, have []glanceapi.Member) error {
		for i, m := range want {
			had, there := memberIn(have, m.ID)
			if !there {
				had.Status = "pending" // as of every new one
			}
			if m.Status == had.Status {
				want[i].Status = ""
			}
		}
		return t.service.ReplaceMembers(ctx, id, want)
	})
}

// addMember shares an image with a project, which stays as it is if it is a
// member already.
func (t *tree) addMember(ctx context.Context, id, who string) (added bool, err error) {
	err = t.share(ctx, id, func(ctx context.Context, have []glanceapi.Member) error {
		if _, there := memberIn(have, who); there {
			return nil
		}
		added = true
		return t.service.AddMember(ctx, id, glanceapi.Member{ID: who})
	})
	return added && err == nil, err
}

// removeMember ends the sharing of an image with a project.
func (t *tree) removeMember(ctx context.Context, id, who string) error {
	return t.share(ctx, id, func(ctx context.Context, _ []glanceapi.Member) error {
		return t.service.RemoveMember(ctx, id, who)
	})
}
