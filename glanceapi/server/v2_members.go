package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

func memberJSON(image string, m *Member) []byte {
	var o object
	o.str("member_id", m.ID).str("image_id", image).str("status", m.Status).
		str("created_at", stamp(m.CreatedAt)).str("updated_at", stamp(m.UpdatedAt)).
		str("schema", "/v2/schemas/member")
	return o.bytes()
}

// memberImage returns the image whose members are asked about. Its refusals
// are worded differently from those about images.
func (s *Server) memberImage(r *request) (*Record, error) {
	rec, ok := s.store.get(r.id())
	if !ok || !r.sees(rec) {
		return nil, missingImage(r.id())
	}
	return rec, nil
}

func missingImage(id string) *problem { return notFound("Image %s not found.", id) }

// knows reports whether the caller may see that m is a member: the owner sees
// all, a member only itself.
func (r *request) knows(rec *Record, m *Member) bool {
	return m != nil && (r.owns(rec) || m.ID == r.project)
}

func (s *Server) listMembers(w http.ResponseWriter, r *request) error {
	rec, err := s.memberImage(r)
	if err != nil {
		return err
	}
	if rec.Visibility != visibilityShared {
		return forbidden("Not allowed to list members for image %s: Only shared images have members.", rec.ID)
	}
	members := array{}
	for _, m := range rec.Members {
		if r.knows(rec, &m) {
			members = append(members, memberJSON(rec.ID, &m))
		}
	}
	var o object
	o.raw("members", members.bytes()).str("schema", "/v2/schemas/members")
	writeJSON(w, http.StatusOK, o.bytes())
	return nil
}

func (s *Server) showMember(w http.ResponseWriter, r *request) error {
	rec, err := s.memberImage(r)
	if err != nil {
		return err
	}
	if rec.Visibility != visibilityShared {
		return notFound("Only shared images have members.")
	}
	m := rec.member(r.vars[1])
	if !r.knows(rec, m) {
		return noMember(r)
	}
	writeJSON(w, http.StatusOK, memberJSON(rec.ID, m))
	return nil
}

func noMember(r *request) *problem {
	return notFound("%s not found in the member list of the image %s.", r.vars[1], r.id())
}

func (s *Server) addMember(w http.ResponseWriter, r *request) error {
	project, err := readMember(w, r)
	if err != nil {
		return err
	}
	rec, err := s.change(r, missingImage(r.id()), func(rec *Record, now time.Time) error {
		switch {
		case !r.owns(rec) || rec.Visibility != visibilityShared:
			return forbidden("Not allowed to create members for image %s.", rec.ID)
		case rec.member(project) != nil:
			return conflict("Member %s is duplicated for image %s", project, rec.ID)
		}
		rec.Left = slices.DeleteFunc(rec.Left, func(p string) bool { return p == project })
		rec.Members = append(rec.Members, Member{ID: project, Status: "pending", CreatedAt: now, UpdatedAt: now})
		return nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, memberJSON(rec.ID, rec.member(project)))
	return nil
}

// readMember returns the project that the body names. Glance takes a number
// too.
func readMember(w http.ResponseWriter, r *request) (string, error) {
	raw, err := readField(w, r, "member", `{"member": "image_id"}`)
	if err != nil {
		return "", err
	}
	var number json.Number
	switch s, ok := text(raw); {
	case raw == nil:
		return "", badRequest("Member to be added not specified")
	case ok && (s == nil || *s == ""):
		return "", badRequest("Member can't be empty")
	case ok:
		return *s, nil
	case json.Unmarshal(raw, &number) == nil:
		return number.String(), nil
	}
	return "", badRequest(`Expected a member in the form: {"member": "image_id"}`)
}

// readField returns one field of the object that is the request's body, nil
// if it is not there.
func readField(w http.ResponseWriter, r *request, key, form string) (json.RawMessage, error) {
	body, err := readJSON(w, r)
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		return nil, errMalformed()
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, badRequest("Expected a %s in the form: %s", key, form)
	}
	return fields[key], nil
}

func (s *Server) updateMember(w http.ResponseWriter, r *request) error {
	raw, err := readField(w, r, "status", `{"status": "status"}`)
	if err != nil {
		return err
	}
	if raw == nil {
		return badRequest("Status not specified")
	}
	status, _ := text(raw)
	rec, err := s.change(r, missingImage(r.id()), func(rec *Record, now time.Time) error {
		m := rec.member(r.vars[1])
		switch {
		case rec.Visibility != visibilityShared, r.owns(rec) && !r.admin:
			return forbidden("Not allowed to update members for image %s.", rec.ID)
		case !r.knows(rec, m):
			return noMember(r)
		case status == nil || !slices.Contains([]string{"pending", "accepted", "rejected"}, *status):
			return badRequest(`Incorrect request: Status must be "pending", "accepted" or "rejected".`)
		}
		m.Status, m.CanShare, m.UpdatedAt = *status, false, now // which v2 does not know, and resets
		return nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, memberJSON(rec.ID, rec.member(r.vars[1])))
	return nil
}

func (s *Server) removeMember(w http.ResponseWriter, r *request) error {
	_, err := s.change(r, missingImage(r.id()), func(rec *Record, _ time.Time) error {
		switch {
		case !r.owns(rec) || rec.Visibility != visibilityShared:
			return forbidden("Not allowed to delete members for image %s.", rec.ID)
		case rec.member(r.vars[1]) == nil:
			return noMember(r)
		}
		rec.dismiss(r.vars[1])
		return nil
	})
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
