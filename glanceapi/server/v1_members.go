package server

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"time"
)

// membersV1 lists them, all or for a member of a later release only itself.
func (s *Server) membersV1(w http.ResponseWriter, r *request) error {
	rec, err := s.seen(r)
	if err != nil {
		return err
	}
	members := array{}
	for _, m := range rec.Members {
		if s.Release >= Queens && !r.owns(rec) && m.ID != r.project {
			continue
		}
		var o object
		members = append(members, o.str("member_id", m.ID).bool("can_share", m.CanShare).bytes())
	}
	var o object
	s.writeV1(w, http.StatusOK, o.raw("members", members.bytes()).bytes())
	return nil
}

// sharedV1 lists the images that are shared with a project.
func (s *Server) sharedV1(w http.ResponseWriter, r *request) error {
	images := array{}
	for _, rec := range s.store.ordered(makeOrder(nil, []string{"asc"})) {
		m := rec.member(r.vars[0])
		if m == nil || s.Release >= Queens && !r.admin && r.project != r.vars[0] {
			continue
		}
		var o object
		images = append(images, o.raw("image_id", s.idCell(rec.ID).json).bool("can_share", m.CanShare).bytes())
	}
	var o object
	s.writeV1(w, http.StatusOK, o.raw("shared_images", images.bytes()).bytes())
	return nil
}

// A memberClaim is what a request says of a member.
type memberClaim struct {
	id       string
	canShare *bool // nil where it says nothing
}

// parseMemberClaim reads one. Any text, also "false", counts as true.
func parseMemberClaim(fields map[string]json.RawMessage) memberClaim {
	var m memberClaim
	json.Unmarshal(fields["member_id"], &m.id)
	if raw, ok := fields["can_share"]; ok {
		m.canShare = new(!slices.Contains([]string{"null", "false", `""`, "0"}, string(raw)))
	}
	return m
}

// badMembers is the answer to what is not the document it should be.
func (s *Server) badMembers() error {
	if s.Release == Diablo {
		return errCrashed()
	}
	return badRequest("Invalid membership association specified")
}

// addMemberV1 adds or changes one. A body that does not have the key member
// says nothing.
func (s *Server) addMemberV1(w http.ResponseWriter, r *request) error {
	claim := memberClaim{id: r.vars[1]}
	if hasBody(r.Request) {
		body, err := readJSON(w, r)
		if err != nil {
			return err
		}
		var doc struct{ Member map[string]json.RawMessage }
		if json.Unmarshal(body, &doc) != nil {
			return s.badMembers()
		}
		claim.canShare = parseMemberClaim(doc.Member).canShare
	}
	return s.changeMembers(w, r, func(rec *Record, now time.Time) error {
		return s.admit(rec, claim, now)
	})
}

// admit makes a project a member. A membership that ended once still counts as
// existing: without can_share it stays ended, and Essex cannot bring it back.
func (s *Server) admit(rec *Record, claim memberClaim, now time.Time) error {
	if m := rec.member(claim.id); m != nil {
		if claim.canShare != nil {
			m.CanShare, m.UpdatedAt = *claim.canShare, now
		}
		return nil
	}
	if i := slices.Index(rec.Left, claim.id); i >= 0 {
		if s.Release == Essex {
			return errCrashed()
		}
		if claim.canShare == nil {
			return nil
		}
		rec.Left = slices.Delete(rec.Left, i, i+1)
	}
	m := Member{ID: claim.id, Status: "pending", CreatedAt: now, UpdatedAt: now}
	if claim.canShare != nil {
		m.CanShare = *claim.canShare
	}
	rec.Members = append(rec.Members, m)
	return nil
}

// replaceMembersV1 takes {"memberships": [...]}, and in the first releases a
// list or one object without that.
func (s *Server) replaceMembersV1(w http.ResponseWriter, r *request) error {
	body, err := readJSON(w, r)
	if err != nil {
		return err
	}
	var doc struct {
		Memberships []map[string]json.RawMessage
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.Memberships == nil {
		if s.Release >= Queens {
			return s.badMembers()
		}
		if json.Unmarshal(body, &doc.Memberships) != nil {
			return s.badMembers()
		}
	}
	var claims []memberClaim
	for _, fields := range doc.Memberships {
		claim := parseMemberClaim(fields)
		if claim.id == "" || slices.ContainsFunc(claims, func(c memberClaim) bool { return c.id == claim.id }) {
			return s.badMembers()
		}
		claims = append(claims, claim)
	}
	return s.changeMembers(w, r, func(rec *Record, now time.Time) error {
		for _, m := range slices.Clone(rec.Members) {
			if !slices.ContainsFunc(claims, func(c memberClaim) bool { return c.id == m.ID }) {
				rec.dismiss(m.ID)
			}
		}
		for _, claim := range claims {
			if slices.Contains(rec.Left, claim.id) && claim.canShare == nil {
				claim.canShare = new(false) // a replacement brings everybody back
			}
			if err := s.admit(rec, claim, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// dismiss ends a membership.
func (r *Record) dismiss(project string) {
	r.Members = slices.DeleteFunc(r.Members, func(m Member) bool { return m.ID == project })
	if !slices.Contains(r.Left, project) {
		r.Left = append(r.Left, project)
	}
}

func (s *Server) removeMemberV1(w http.ResponseWriter, r *request) error {
	return s.changeMembers(w, r, func(rec *Record, _ time.Time) error {
		if rec.member(r.vars[1]) == nil && s.Release >= Queens {
			return notFound("Membership could not be found")
		}
		if rec.member(r.vars[1]) != nil {
			rec.dismiss(r.vars[1])
		}
		return nil
	})
}

// changeMembers is for the owner and for members that may share. Anybody else
// is told that there is no such image.
func (s *Server) changeMembers(w http.ResponseWriter, r *request, alter func(*Record, time.Time) error) error {
	if r.project == "" && s.Release <= Essex {
		return newProblem(http.StatusUnauthorized, "No authenticated user")
	}
	_, err := s.store.update(r.id(), func(rec *Record, now time.Time) error {
		m := rec.member(r.project)
		if !r.owns(rec) && (m == nil || !m.CanShare) {
			return fs.ErrNotExist
		}
		return alter(rec, now)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return notFound("Image with identifier %s not found", r.id())
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
