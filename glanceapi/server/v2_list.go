package server

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultLimit = 25
	maxLimit     = 1000
)

// params are the parameters of a query in the order of their first use.
type params []param

type param struct {
	key    string
	values []string
}

// parseParams reads a query leniently: what does not decode is taken as it is.
func parseParams(raw string) params {
	var ps params
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		k, v = unescape(k), unescape(v)
		i := slices.IndexFunc(ps, func(p param) bool { return p.key == k })
		if i < 0 {
			i = len(ps)
			ps = append(ps, param{key: k})
		}
		ps[i].values = append(ps[i].values, v)
	}
	return ps
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

func (ps params) all(key string) []string {
	for _, p := range ps {
		if p.key == key {
			return p.values
		}
	}
	return nil
}

// last returns the last value of a parameter; ok is false without one.
func (ps params) last(key string) (v string, ok bool) {
	vs := ps.all(key)
	if len(vs) == 0 {
		return "", false
	}
	return vs[len(vs)-1], true
}

// link is the path of the same listing from marker on. As in Glance it keeps
// only the last of repeated parameters.
func (ps params) link(marker string) string {
	var pairs []string
	for _, p := range ps {
		if p.key != "marker" {
			pairs = append(pairs, url.QueryEscape(p.key)+"="+url.QueryEscape(p.values[len(p.values)-1]))
		}
	}
	if marker != "" {
		pairs = append(pairs, "marker="+url.QueryEscape(marker))
	}
	if len(pairs) == 0 {
		return "/v2/images"
	}
	return "/v2/images?" + strings.Join(pairs, "&")
}

func (s *Server) listImages(w http.ResponseWriter, r *request) error {
	ps := parseParams(r.URL.RawQuery)
	limit, err := parseLimit(ps)
	if err != nil {
		return err
	}
	order, err := parseOrder(ps)
	if err != nil {
		return err
	}
	keep, err := parseFilter(ps, r.caller)
	if err != nil {
		return err
	}
	after, err := s.marker(ps, r.caller)
	if err != nil {
		return err
	}
	recs := s.store.page(order, after, limit, func(r *Record) bool { return r.Status != statusDeleted && keep(r) })
	full := limit > 0 && len(recs) == limit
	writeJSON(w, http.StatusOK, pageJSON(recs, ps, full))
	return nil
}

func pageJSON(recs []*Record, ps params, full bool) []byte {
	images := make(array, len(recs))
	for i, rec := range recs {
		images[i] = imageJSON(rec)
	}
	var o object
	o.raw("images", images.bytes()).str("first", ps.link("")).str("schema", "/v2/schemas/images")
	if full {
		o.str("next", ps.link(recs[len(recs)-1].ID))
	}
	return o.bytes()
}

func parseLimit(ps params) (int, error) {
	v, ok := ps.last("limit")
	if !ok {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	switch {
	case err != nil:
		return 0, badRequest("limit param must be an integer")
	case n < 0:
		return 0, badRequest("limit param must be positive")
	}
	return min(n, maxLimit), nil
}

// marker returns the image behind which the page begins, nil for the first
// page.
func (s *Server) marker(ps params, c caller) (*Record, error) {
	id, ok := ps.last("marker")
	if !ok {
		return nil, nil
	}
	rec, ok := s.store.get(id)
	switch {
	case !ok:
		return nil, badRequest("No image found with ID %s", id)
	case !c.sees(rec):
		return nil, forbidden("Forbidding request, image %s not visible", id)
	}
	return rec, nil
}
