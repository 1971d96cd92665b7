package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// imageJSON is an image as the API shows it: its properties, then its
// attributes.
func imageJSON(r *Record) []byte {
	var o object
	for _, k := range slices.Sorted(maps.Keys(r.Properties)) {
		o.str(k, r.Properties[k])
	}
	if r.Name == nil {
		o.null("name", "")
	} else {
		o.str("name", *r.Name)
	}
	self := "/v2/images/" + r.ID
	o.null("disk_format", r.DiskFormat).null("container_format", r.ContainerFormat).
		str("visibility", r.Visibility).size("size", r.Size).size("virtual_size", r.VirtualSize).
		str("status", r.Status).null("checksum", r.Checksum).bool("protected", r.Protected).
		int("min_ram", r.MinRAM).int("min_disk", r.MinDisk).null("owner", r.Owner).
		bool("os_hidden", r.Hidden).null("os_hash_algo", r.HashAlgo).null("os_hash_value", r.HashValue).
		str("id", r.ID).str("created_at", stamp(r.CreatedAt)).str("updated_at", stamp(r.UpdatedAt)).
		raw("tags", stringArray(r.Tags)).
		str("self", self).str("file", self+"/file").str("schema", "/v2/schemas/image")
	return o.bytes()
}

// stamp shows a time to the second, which is all that the API tells.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// visible returns the image that the request names, or a 404 in the usual
// words.
func (s *Server) visible(r *request) (*Record, error) {
	rec, ok := s.store.get(r.id())
	if !ok || !r.sees(rec) {
		return nil, noImage(r.id())
	}
	return rec, nil
}

func noImage(id string) *problem { return notFound("No image found with ID %s", id) }

// change alters the image that the request names, if the caller sees it, and
// fails with missing otherwise. Alter has to check whether the caller may.
func (s *Server) change(r *request, missing *problem, alter func(rec *Record, now time.Time) error) (*Record, error) {
	rec, err := s.store.update(r.id(), func(rec *Record, now time.Time) error {
		if !r.sees(rec) {
			return fs.ErrNotExist
		}
		return alter(rec, now)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	return rec, err
}

func (s *Server) showImage(w http.ResponseWriter, r *request) error {
	rec, err := s.visible(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, imageJSON(rec))
	return nil
}

func (s *Server) createImage(w http.ResponseWriter, r *request) error {
	body, err := readJSON(w, r)
	if err != nil {
		return err
	}
	rec, err := newImage(r.caller, body)
	if err != nil {
		return err
	}
	made, err := s.store.insert(*rec, nil)
	if errors.Is(err, fs.ErrExist) {
		return conflict("Image ID %s already exists!", rec.ID)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", "http://"+r.Host+"/v2/images/"+made.ID)
	writeJSON(w, http.StatusCreated, imageJSON(made))
	return nil
}

// newImage is the record that a caller's JSON asks for.
func newImage(c caller, body []byte) (*Record, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return nil, errMalformed()
	}
	rec := &Record{ID: newUUID(), Owner: c.project, Visibility: visibilityShared}
	for key, raw := range fields {
		if key == "id" {
			id, ok := text(raw)
			if !ok || id == nil {
				return nil, mismatch(raw, "is not of type 'string'")
			}
			if !isUUID(*id) {
				return nil, mismatch(raw, "does not match '%s'", uuidPattern)
			}
			rec.ID = *id
			continue
		}
		if err := writable(key); err != nil {
			return nil, err
		}
		if err := setField(rec, key, raw); err != nil {
			return nil, err
		}
	}
	if rec.Owner != c.project && !c.admin {
		return nil, forbidden("You are not permitted to create images owned by '%s'.", cmp.Or(rec.Owner, "None"))
	}
	if rec.Visibility == visibilityPublic && !c.publisher {
		return nil, errPublicize()
	}
	return rec, nil
}

func errPublicize() *problem {
	return forbidden("You are not authorized to complete publicize_image action.")
}

func (s *Server) deleteImage(w http.ResponseWriter, r *request) error {
	err := s.store.remove(r.id(), func(rec *Record) error {
		switch {
		case !r.sees(rec):
			return fs.ErrNotExist
		case !r.owns(rec):
			return errNotOwner()
		case rec.Protected:
			return forbidden("Image %s is protected and cannot be deleted.", rec.ID)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return notFound("Failed to find image %s to delete", r.id())
	}
	if err != nil {
		return err
	}
	writeEmpty(w)
	return nil
}

func errNotOwner() *problem { return forbidden("You do not own this image") }

func (s *Server) addTag(w http.ResponseWriter, r *request) error {
	tag := r.vars[1]
	if utf8.RuneCountInString(tag) > 255 {
		return badRequest("Provided object does not match schema 'image': '%s' is too long", tag)
	}
	return s.retag(w, r, "update", func(rec *Record) error {
		if !slices.Contains(rec.Tags, tag) {
			rec.Tags = append(rec.Tags, tag)
		}
		return nil
	})
}

func (s *Server) removeTag(w http.ResponseWriter, r *request) error {
	return s.retag(w, r, "delete", func(rec *Record) error {
		i := slices.Index(rec.Tags, r.vars[1])
		if i < 0 {
			return noResource()
		}
		rec.Tags = slices.Delete(rec.Tags, i, i+1)
		return nil
	})
}

func (s *Server) retag(w http.ResponseWriter, r *request, action string, alter func(*Record) error) error {
	_, err := s.change(r, missingImage(r.id()), func(rec *Record, now time.Time) error {
		if !r.owns(rec) {
			return forbidden("Not allowed to %s tags for image %s.", action, rec.ID)
		}
		rec.UpdatedAt = now
		return alter(rec)
	})
	if err == nil {
		writeEmpty(w)
	}
	return err
}

func (s *Server) deactivate(w http.ResponseWriter, r *request) error {
	return s.turn(w, r, "deactivate", statusDeactivated)
}

func (s *Server) reactivate(w http.ResponseWriter, r *request) error {
	return s.turn(w, r, "reactivate", statusActive)
}

// turn switches an image between active and deactivated.
func (s *Server) turn(w http.ResponseWriter, r *request, action, to string) error {
	_, err := s.change(r, noImage(r.id()), func(rec *Record, now time.Time) error {
		switch {
		case !r.owns(rec):
			return errNotOwner()
		case rec.Status != statusActive && rec.Status != statusDeactivated:
			return forbidden("Not allowed to %s image in status '%s'", action, rec.Status)
		case rec.Status != to:
			rec.Status, rec.UpdatedAt = to, now
		}
		return nil
	})
	if err == nil {
		writeEmpty(w)
	}
	return err
}
