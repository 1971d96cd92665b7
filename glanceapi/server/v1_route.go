package server

import (
	"net/http"
	"slices"
	"strings"
)

// acceptV1 is how a request without a version in its path asks for v1.
const acceptV1 = "application/vnd.openstack.images-v1"

// v1 answers by path and method, as v2 does.
func v1() map[string]map[string]answerer {
	images := map[string]answerer{"GET": (*Server).listV1, "POST": (*Server).createV1}
	return map[string]map[string]answerer{
		"":         images,
		"images":   images,
		"images/*": {"GET": (*Server).getV1, "HEAD": (*Server).headV1, "PUT": (*Server).changeV1, "DELETE": (*Server).deleteV1},
	}
}

// v1Members are the paths that came with Diablo.
func v1Members() map[string]map[string]answerer {
	return map[string]map[string]answerer{
		"images/*/members":   {"GET": (*Server).membersV1, "PUT": (*Server).replaceMembersV1},
		"images/*/members/*": {"PUT": (*Server).addMemberV1, "DELETE": (*Server).removeMemberV1},
		"shared-images/*":    {"GET": (*Server).sharedV1},
	}
}

// serveV1 answers a request for path, which followed the version if there was
// one.
func (s *Server) serveV1(w http.ResponseWriter, r *http.Request, path string) error {
	who := caller{admin: true, publisher: true}
	if s.Release.knowsWho() {
		var err error
		if who, err = s.caller(r); err != nil {
			return err
		}
	}
	if path == "images/detail" && r.Method == http.MethodGet {
		return s.detailV1(w, &request{Request: r, caller: who})
	}
	tables := []map[string]map[string]answerer{v1()}
	if s.Release.knowsWho() {
		tables = append(tables, v1Members())
	}
	for _, table := range tables {
		for pattern, methods := range table {
			vars, ok := match(pattern, path)
			if !ok {
				continue
			}
			answer, ok := methods[r.Method]
			if !ok && s.Release < Queens {
				return noResource()
			}
			if !ok {
				return newProblem(http.StatusMethodNotAllowed, "The method %s is not allowed for this resource. ", r.Method)
			}
			return answer(s, w, &request{Request: r, caller: who, vars: vars})
		}
	}
	return noResource()
}

// bareV1 answers a path that is a version and nothing behind it.
func (s *Server) bareV1(w http.ResponseWriter, r *http.Request) error {
	if s.Release < Queens {
		crash(w)
		return nil
	}
	w.Header().Set("Location", "http://"+r.Host+r.URL.Path+"/")
	w.WriteHeader(http.StatusFound)
	return nil
}

// writeV1 answers with JSON, whose media type said little in the first
// releases.
func (s *Server) writeV1(w http.ResponseWriter, status int, body []byte) {
	switch s.Release {
	case Bexar, Cactus:
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	case Diablo:
		w.Header()["Content-Type"] = []string{"text/html; charset=UTF-8", "application/json"}
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	w.Write(body)
}

// deletedV1 answers that an image is gone.
func (s *Server) deletedV1(w http.ResponseWriter) {
	if slices.Contains([]Release{Diablo, Essex}, s.Release) {
		s.writeV1(w, http.StatusOK, []byte("null"))
		return
	}
	w.WriteHeader(http.StatusOK)
}

// ascii reports whether s can stand in a header of the first releases.
func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > 0x7e })
}
