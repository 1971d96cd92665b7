package server

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"
)

// The media types of PATCH. In the older one the operation is the key of its
// path: {"replace": "/name", "value": "x"}.
const (
	patchV20 = "application/openstack-images-v2.0-json-patch"
	patchV21 = "application/openstack-images-v2.1-json-patch"
)

// An op is one operation of a PATCH.
type op struct {
	verb  string // add, remove or replace
	key   string // the attribute or property
	value json.RawMessage
}

// patchImage does all the operations or none.
func (s *Server) patchImage(w http.ResponseWriter, r *request) error {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != patchV20 && media != patchV21 {
		return unsupportedMedia(r).withHeader("Accept-Patch", patchV20+", "+patchV21)
	}
	body, err := readJSON(w, r)
	if err != nil {
		return err
	}
	ops, err := parsePatch(body, media == patchV20)
	if err != nil {
		return err
	}
	rec, err := s.change(r, noImage(r.id()), func(rec *Record, now time.Time) error {
		if !r.owns(rec) {
			return errNotOwner()
		}
		for _, o := range ops {
			if err := o.apply(rec, r.caller); err != nil {
				return err
			}
			rec.UpdatedAt = now
		}
		return nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, imageJSON(rec))
	return nil
}

// parsePatch reads the operations and checks all that does not depend on the
// image.
func parsePatch(body []byte, old bool) ([]op, error) {
	if !json.Valid(body) {
		return nil, errMalformed()
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil || list == nil {
		return nil, badRequest("Request body must be a JSON array of operation objects.")
	}
	ops := make([]op, len(list))
	for i, raw := range list {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
			return nil, badRequest("Operations must be JSON objects.")
		}
		o, err := parseOp(fields, old)
		if err != nil {
			return nil, err
		}
		ops[i] = o
	}
	return ops, nil
}

func parseOp(fields map[string]json.RawMessage, old bool) (op, error) {
	verb, pointer, err := verbAndPointer(fields, old)
	if err != nil {
		return op{}, err
	}
	key, err := parsePointer(pointer)
	if err != nil {
		return op{}, err
	}
	if err := writable(key); err != nil {
		return op{}, err
	}
	value, ok := fields["value"]
	if verb == "remove" {
		return op{verb: verb, key: key}, nil
	}
	if !ok {
		return op{}, badRequest("Operation \"%s\" requires a member named \"value\".", verb)
	}
	return op{verb, key, value}, setField(&Record{}, key, value)
}

const verbs = "It must be one of the following: add, remove, replace."

func verbAndPointer(fields map[string]json.RawMessage, old bool) (verb, pointer string, err error) {
	if old {
		for _, v := range []string{"add", "remove", "replace"} {
			if raw, ok := fields[v]; ok && json.Unmarshal(raw, &pointer) == nil {
				return v, pointer, nil
			}
		}
		return "", "", badRequest(`Operation objects must contain exactly one member named "add", "remove", or "replace".`)
	}
	if json.Unmarshal(fields["op"], &verb) != nil {
		return "", "", badRequest("Unable to find `op` in JSON Schema change. " + verbs)
	}
	if verb != "add" && verb != "remove" && verb != "replace" {
		return "", "", badRequest("Invalid operation: `%s`. "+verbs, verb)
	}
	if json.Unmarshal(fields["path"], &pointer) != nil {
		return "", "", badRequest("Unable to find 'path' in JSON Schema change")
	}
	return verb, pointer, nil
}

// parsePointer reads a JSON pointer of one element (RFC 6901). Slashes at its
// beginning count as one.
func parsePointer(pointer string) (string, error) {
	if !strings.HasPrefix(pointer, "/") {
		return "", badRequest("Pointer `%s` does not start with \"/\".", pointer)
	}
	token := strings.TrimLeft(pointer, "/")
	if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(token), "~") {
		return "", badRequest("Pointer `%s` contains \"~\" not part of a recognized escape sequence.", pointer)
	}
	if strings.Contains(token, "/") || token == "locations" {
		return "", badRequest("Invalid JSON pointer for this resource: '%s'", pointer)
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token), nil
}

// apply does the operation on a record that c owns.
func (o op) apply(rec *Record, c caller) error {
	_, exists := rec.Properties[o.key]
	base := isBase(o.key)
	switch {
	case o.verb != "add" && !base && !exists:
		return conflict("There was a conflict when trying to complete your request.").
			withDetail("Property %s does not exist.", o.key)
	case o.verb == "remove" && base:
		return forbidden("Access was denied to this resource.").withDetail("Property %s may not be removed.", o.key)
	case o.verb == "remove":
		delete(rec.Properties, o.key)
		return nil
	case (o.key == "disk_format" || o.key == "container_format") && rec.Status != statusQueued:
		return forbidden("Attribute %s can be only replaced for a queued image.", o.key)
	case o.key == "owner" && !c.admin:
		return forbidden("Access was denied to this resource.").withDetail("Owner can't be updated by non admin.")
	}
	before := rec.Visibility
	if err := setField(rec, o.key, o.value); err != nil {
		return err
	}
	if rec.Visibility == visibilityPublic && before != visibilityPublic && !c.publisher {
		return errPublicize()
	}
	return nil
}
