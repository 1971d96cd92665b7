package server

import (
	"net/http"
	"slices"
	"strings"
)

// A caller is who asks.
type caller struct {
	project   string // "" for none
	admin     bool   // sees and changes everything
	publisher bool   // may make images public: holds the role admin by name
}

// caller tells who made r from its token, which is believed.
func (s *Server) caller(r *http.Request) (caller, error) {
	fields := strings.Split(r.Header.Get("X-Auth-Token"), ":")
	if len(fields) == 3 && !slices.Contains(fields, "") {
		admin := slices.Contains(strings.Split(fields[2], ","), "admin")
		return caller{project: fields[1], admin: admin, publisher: admin}, nil
	}
	if s.RequireToken {
		return caller{}, newProblem(http.StatusUnauthorized,
			"This server could not verify that you are authorized to access the document you requested. "+
				"Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand "+
				"how to supply the credentials required.").
			withHeader("Www-Authenticate", `Keystone uri="http://127.0.0.1:5000"`)
	}
	return caller{admin: true}, nil
}

// owns reports whether c may change the image.
func (c caller) owns(r *Record) bool {
	return c.admin || c.project != "" && c.project == r.Owner
}

// sees reports whether c may read the image when it names it.
func (c caller) sees(r *Record) bool {
	if c.owns(r) || r.Owner == "" || r.Visibility == visibilityPublic || r.Visibility == visibilityCommunity {
		return true
	}
	return c.project != "" && r.Visibility == visibilityShared && r.member(c.project) != nil
}

// lists reports whether a listing that c asks for has the image. Visibility
// is the one asked for, "" if none was, "all" for any; an image shared with c
// is listed if its member status is the one asked for or that is "all".
func (c caller) lists(r *Record, visibility, memberStatus string) bool {
	switch {
	case visibility == "" && r.Visibility == visibilityCommunity && (c.project == "" || r.Owner != c.project):
		return false
	case visibility != "" && visibility != "all" && r.Visibility != visibility:
		return false
	case c.owns(r) || r.Visibility == visibilityPublic || r.Visibility == visibilityCommunity:
		return true
	case c.project == "" || r.Visibility != visibilityShared:
		return false
	}
	m := r.member(c.project)
	return m != nil && (memberStatus == "all" || m.Status == memberStatus)
}
