package server

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) listV1(w http.ResponseWriter, r *request) error {
	return s.listing(w, r, func(rec *Record) []byte { return cellsJSON(s.brief(rec)).bytes() })
}

func (s *Server) detailV1(w http.ResponseWriter, r *request) error {
	return s.listing(w, r, func(rec *Record) []byte { return s.imageV1(rec, true) })
}

func (s *Server) listing(w http.ResponseWriter, r *request, show func(*Record) []byte) error {
	recs, err := s.selectV1(r)
	if err != nil {
		return err
	}
	images := make(array, len(recs))
	for i, rec := range recs {
		images[i] = show(rec)
	}
	var o object
	s.writeV1(w, http.StatusOK, o.raw("images", images.bytes()).bytes())
	return nil
}

// selectV1 returns the images that a listing has. The first releases look at no
// parameter and show all that is public, in any state.
func (s *Server) selectV1(r *request) ([]*Record, error) {
	if !s.Release.knowsWho() {
		return s.store.page(order{{name: "id"}}, nil, math.MaxInt, func(rec *Record) bool {
			return rec.Status != statusDeleted && rec.Visibility == visibilityPublic
		}), nil
	}
	ps := parseParams(r.URL.RawQuery)
	keep, err := s.filterV1(ps, r.caller)
	if err != nil {
		return nil, err
	}
	sorted, err := s.orderV1(ps)
	if err != nil {
		return nil, err
	}
	limit, err := limitV1(ps)
	if err != nil {
		return nil, err
	}
	after, err := s.markerV1(ps, r.caller)
	if err != nil {
		return nil, err
	}
	return s.store.page(sorted, after, limit, func(rec *Record) bool {
		return keep(rec) && (after == nil || !s.lost(sorted, rec, after))
	}), nil
}

// lost tells whether a later page misses an image, because its database does
// not compare what is null.
func (s *Server) lost(o order, rec, after *Record) bool {
	null := func(r *Record) bool {
		switch o[0].name {
		case "name":
			return r.Name == nil
		case "disk_format":
			return r.DiskFormat == ""
		case "container_format":
			return r.ContainerFormat == ""
		}
		return false
	}
	return s.Release <= Essex && (null(rec) || null(after))
}

func (s *Server) orderV1(ps params) (order, error) {
	key, ok := ps.last("sort_key")
	if !ok {
		key = "created_at"
	}
	dir, ok := ps.last("sort_dir")
	if !ok {
		dir = "desc"
	}
	if !slices.Contains(sortNames(), key) {
		return nil, badRequest("Invalid sort_key '%s'", key)
	}
	if dir != "asc" && dir != "desc" {
		return nil, badRequest("Invalid sort_dir '%s'", dir)
	}
	return makeOrder([]string{key}, []string{dir}), nil
}

func limitV1(ps params) (int, error) {
	v, ok := ps.last("limit")
	if !ok {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, badRequest("limit param must be an integer")
	}
	return min(n, maxLimit), nil
}

func (s *Server) markerV1(ps params, c caller) (*Record, error) {
	id, ok := ps.last("marker")
	if !ok {
		return nil, nil
	}
	rec, ok := s.store.get(id)
	switch {
	case !ok:
		return nil, badRequest("Invalid marker. Image %s could not be found.", id)
	case !c.sees(rec) && s.Release <= Essex:
		return nil, errCrashed()
	case !c.sees(rec):
		return nil, badRequest("Invalid marker. Image %s could not be found.", id)
	}
	return rec, nil
}

// filterV1 reads what a listing is restricted to. Parameters it does not know
// change nothing.
func (s *Server) filterV1(ps params, c caller) (filter, error) {
	scope, err := s.scopeV1(ps, c)
	if err != nil {
		return nil, err
	}
	filters := []filter{scope}
	for _, p := range ps {
		v := p.values[len(p.values)-1]
		if s.Release.crashesOnText() && !ascii(v) {
			return nil, errCrashed()
		}
		f, err := s.oneV1(p.key, v)
		if err != nil {
			return nil, err
		}
		if f != nil {
			filters = append(filters, f)
		}
	}
	return func(r *Record) bool {
		return !slices.ContainsFunc(filters, func(f filter) bool { return !f(r) })
	}, nil
}

// scopeV1 is which images c is shown at all: those that are there, or with
// changes-since also what has become of others.
func (s *Server) scopeV1(ps params, c caller) (filter, error) {
	public, _ := ps.last("is_public")
	since, changes := ps.last("changes-since")
	var from time.Time
	if changes && s.Release >= Essex {
		var err error
		if from, err = parseISO(since); err != nil {
			return nil, badRequest("Unrecognized changes-since value")
		}
	}
	changes = !from.IsZero()
	return func(r *Record) bool {
		if gone := r.Status == statusDeleted || r.Status == statusKilled; gone && !changes || r.UpdatedAt.Before(from) {
			return false
		}
		isPublic := r.Visibility == visibilityPublic
		own := c.project != "" && r.Owner == c.project
		shared := c.project != "" && r.member(c.project) != nil
		if !c.admin {
			return isPublic || own || shared
		}
		switch strings.ToLower(public) {
		case "none":
			return true
		case "false":
			return !isPublic
		}
		return isPublic || own || shared
	}, nil
}

// oneV1 reads one parameter, nil if it is none that restricts a listing.
func (s *Server) oneV1(key, v string) (filter, error) {
	switch key {
	case "name":
		return func(r *Record) bool { return r.Name != nil && *r.Name == v }, nil
	case "status":
		return func(r *Record) bool { return r.Status == v && v != statusKilled }, nil
	case "disk_format":
		return func(r *Record) bool { return r.DiskFormat != "" && r.DiskFormat == v }, nil
	case "container_format":
		return func(r *Record) bool { return r.ContainerFormat != "" && r.ContainerFormat == v }, nil
	case "size_min", "size_max", "min_disk", "min_ram":
		return s.boundV1(key, v)
	case "protected":
		if s.Release < Essex {
			return nil, nil
		}
		want := s.truth(v)
		return func(r *Record) bool { return r.Protected == want }, nil
	}
	property, ok := strings.CutPrefix(key, "property-")
	if !ok {
		return nil, nil
	}
	return func(r *Record) bool {
		have, ok := r.Properties[property]
		return ok && have == v
	}, nil
}

func (s *Server) boundV1(key, v string) (filter, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil && s.Release >= Essex {
		return nil, badRequest("Invalid %s value %s", key, v)
	}
	if err != nil {
		return func(*Record) bool { return false }, nil
	}
	switch key {
	case "size_min":
		return func(r *Record) bool { return r.Size != nil && *r.Size >= n }, nil
	case "size_max":
		return func(r *Record) bool { return r.Size != nil && *r.Size <= n }, nil
	}
	return parseEqual(key, v), nil
}
