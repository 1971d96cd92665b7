package server

import (
	"errors"
	"io/fs"
	"net/http"
	"time"
)

// seen returns the image that the request names, if the caller sees it.
func (s *Server) seen(r *request) (*Record, error) {
	rec, ok := s.store.get(r.id())
	if !ok || !r.sees(rec) {
		return nil, notFound("Image with identifier %s not found", r.id())
	}
	return rec, nil
}

// createV1 is POST: a record, and its data if there is a body.
func (s *Server) createV1(w http.ResponseWriter, r *request) error {
	c, err := s.parseClaim(r.Header)
	if err != nil {
		return err
	}
	rec, err := s.newV1(c, r.caller)
	if err != nil {
		return err
	}
	made, err := s.store.insert(*rec, nil)
	if errors.Is(err, fs.ErrExist) {
		if s.Release <= Cactus {
			return errCrashed()
		}
		return conflict("An image with identifier %s already exists", rec.ID)
	}
	if err != nil {
		return err
	}
	empty := s.Release >= Queens && c.fields["size"] == "0"
	if hasBody(r.Request) || empty {
		if made, err = s.fillV1(r, made.ID, c); err != nil {
			return err
		}
	}
	status := http.StatusCreated
	if s.Release == Bexar {
		status = http.StatusOK
	}
	s.writeV1(w, status, s.imageDocument(made))
	return nil
}

func (s *Server) imageDocument(rec *Record) []byte {
	var o object
	return o.raw("image", s.imageV1(rec, false)).bytes()
}

// newV1 is the record that a claim asks for.
func (s *Server) newV1(c claim, who caller) (*Record, error) {
	rec := &Record{ID: c.fields["id"], Owner: who.project, Visibility: visibilityShared, Properties: c.properties, Size: new(int64)}
	switch {
	case rec.ID == "" && !s.Release.integerIDs():
		rec.ID = newUUID()
	case rec.ID != "" && !s.Release.allows(rec.ID):
		return nil, s.junk("Invalid image id format")
	}
	if s.Release >= Queens && len(c.properties) > 128 {
		return nil, newProblem(http.StatusRequestEntityTooLarge, "The limit has been exceeded on the number of allowed image properties.")
	}
	if err := s.apply(c, rec, who); err != nil {
		return nil, err
	}
	size, err := s.size(c)
	if err != nil {
		return nil, err
	}
	if size != nil {
		rec.Size = size
	}
	if s.Release != Bexar {
		rec.Checksum = c.fields["checksum"]
	}
	return rec, nil
}

func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// changeV1 is PUT: other metadata, and the data of a queued image if there is a
// body.
func (s *Server) changeV1(w http.ResponseWriter, r *request) error {
	c, err := s.parseClaim(r.Header)
	if err != nil {
		return err
	}
	rec, err := s.changeMeta(r, c)
	if err != nil {
		return err
	}
	if hasBody(r.Request) {
		if rec, err = s.fillV1(r, rec.ID, c); err != nil {
			return err
		}
	}
	s.writeV1(w, http.StatusOK, s.imageDocument(rec))
	return nil
}

func (s *Server) changeMeta(r *request, c claim) (*Record, error) {
	size, err := s.size(c)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"id", "status"} {
		if _, ok := c.fields[key]; ok {
			return nil, forbidden("Forbidden to modify '%s' of image.", key) // older ones do it, to nobody's good
		}
	}
	missing := notFound("Image with identifier %s not found", r.id())
	return s.change(r, missing, func(rec *Record, now time.Time) error {
		if err := s.mayChange(r, rec); err != nil {
			return err
		}
		if hasBody(r.Request) && rec.Status != statusQueued {
			return conflict("Cannot upload to an unqueued image")
		}
		if rec.Status == statusActive && s.Release >= Queens && !r.admin && size != nil && (rec.Size == nil || *size != *rec.Size) {
			return forbidden("Forbidden to modify '%s' of active image.", "size")
		}
		if _, ok := c.fields["is_public"]; !ok && s.Release == Bexar {
			rec.Visibility = visibilityShared
		}
		s.changeProperties(r, c, rec)
		rec.UpdatedAt = now
		return s.apply(c, rec, r.caller)
	})
}

func (s *Server) mayChange(r *request, rec *Record) error {
	switch {
	case r.owns(rec):
		return nil
	case rec.Visibility == visibilityPublic && s.Release >= Essex:
		return forbidden("You do not own this image")
	}
	return fs.ErrNotExist
}

// changeProperties does what the release does with properties that are not
// named: keeps them, or not.
func (s *Server) changeProperties(r *request, c claim, rec *Record) {
	keep := s.Release == Bexar || s.Release >= Essex && (hasBody(r.Request) || r.Header.Get("X-Glance-Registry-Purge-Props") == "false")
	if !keep || rec.Properties == nil {
		rec.Properties = map[string]string{}
	}
	for k, v := range c.properties {
		rec.Properties[k] = v
	}
}

// deleteV1 is of any image, but not in every state in the first release.
func (s *Server) deleteV1(w http.ResponseWriter, r *request) error {
	err := s.store.remove(r.id(), func(rec *Record) error {
		switch {
		case !r.sees(rec):
			return fs.ErrNotExist
		case rec.Protected && s.Release >= Essex:
			return forbidden("Image %s is protected and cannot be deleted.", rec.ID)
		case rec.Status != statusActive && s.Release == Bexar:
			return errCrashed()
		}
		return s.mayChange(r, rec)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return notFound("Failed to find image to delete: %s", r.id())
	}
	if err != nil {
		return err
	}
	s.deletedV1(w)
	return nil
}
