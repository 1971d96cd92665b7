package server

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// A request is a request of the Images API v2 after routing.
type request struct {
	*http.Request
	caller
	vars []string // what stood for the wildcards of the route
}

// id is the image's id; every route with a wildcard begins with it.
func (r *request) id() string { return r.vars[0] }

type answerer func(s *Server, w http.ResponseWriter, r *request) error

// v2 answers by path, where * is one element, and by method.
func v2() map[string]map[string]answerer {
	return map[string]map[string]answerer{
		"images":                      {"GET": (*Server).listImages, "POST": (*Server).createImage},
		"images/*":                    {"GET": (*Server).showImage, "PATCH": (*Server).patchImage, "DELETE": (*Server).deleteImage},
		"images/*/file":               {"GET": (*Server).download, "PUT": (*Server).upload},
		"images/*/tags/*":             {"PUT": (*Server).addTag, "DELETE": (*Server).removeTag},
		"images/*/actions/deactivate": {"POST": (*Server).deactivate},
		"images/*/actions/reactivate": {"POST": (*Server).reactivate},
		"images/*/members":            {"GET": (*Server).listMembers, "POST": (*Server).addMember},
		"images/*/members/*":          {"GET": (*Server).showMember, "PUT": (*Server).updateMember, "DELETE": (*Server).removeMember},
		"schemas/image":               {"GET": fixed(imageSchema)},
		"schemas/images":              {"GET": fixed(imagesSchema)},
		"schemas/member":              {"GET": fixed(memberSchema)},
		"schemas/members":             {"GET": fixed(membersSchema)},
		"info/import":                 {"GET": fixed(`{"import-methods": {"description": "Import methods available.", "type": "array", "value": []}}`)},
		"info/stores":                 {"GET": noStores},
		"info/stores/detail":          {"GET": noStores},
		"info/usage":                  {"GET": fixed(`{"usage": {}}`)},
	}
}

func fixed(body string) answerer {
	return func(_ *Server, w http.ResponseWriter, _ *request) error {
		writeJSON(w, http.StatusOK, []byte(body))
		return nil
	}
}

func noStores(*Server, http.ResponseWriter, *request) error {
	return notFound("Multi backend is not supported at this site.")
}

// serveV2 answers a request for path, which followed the version; slash tells
// that there was a slash between them.
func (s *Server) serveV2(w http.ResponseWriter, r *http.Request, path string, slash bool) error {
	who, err := s.caller(r)
	if err != nil {
		return err
	}
	if !slash {
		w.Header().Set("Content-Type", "text/plain; charset=utf8")
		w.Header().Set("Location", "http://"+r.Host+r.URL.Path+"/")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	for pattern, methods := range s.routes {
		vars, ok := match(pattern, path)
		if !ok {
			continue
		}
		answer, ok := methods[r.Method]
		if !ok {
			return newProblem(http.StatusMethodNotAllowed, "The method %s is not allowed for this resource. ", r.Method).
				withHeader("Allow", allowed(methods))
		}
		return answer(s, w, &request{Request: r, caller: who, vars: vars})
	}
	return noResource()
}

// allowed lists the methods in the order in which Glance does.
func allowed(methods map[string]answerer) string {
	names := []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	return strings.Join(slices.DeleteFunc(names, func(m string) bool { return methods[m] == nil }), ", ")
}

// match compares a path with a pattern, of which no path matches two, and
// returns the elements that stand for its wildcards.
func match(pattern, path string) (vars []string, ok bool) {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil, false
	}
	for i, w := range want {
		switch {
		case w == "*" && have[i] != "":
			vars = append(vars, have[i])
		case w != have[i]:
			return nil, false
		}
	}
	return vars, true
}

// maxJSON bounds the bodies that are read into memory.
const maxJSON = 1 << 20

// readJSON returns the request's body, which is UTF-8 but not yet known to be
// JSON.
func readJSON(w http.ResponseWriter, r *request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSON))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, newProblem(http.StatusRequestEntityTooLarge, "Request is too large.")
	case err != nil:
		return nil, badRequest("Reading the request body: %v", err)
	case len(body) == 0:
		return nil, badRequest("Body expected in request.")
	case !utf8.Valid(body):
		return nil, errMalformed()
	}
	return body, nil
}

func errMalformed() *problem { return badRequest("Malformed JSON in request body.") }
