package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// headV1 shows an administrator also what was deleted, from Essex on.
func (s *Server) headV1(w http.ResponseWriter, r *request) error {
	rec, err := s.seen(r)
	if gone, ok := s.store.deleted(r.id()); ok && r.admin && s.Release >= Essex {
		rec, err = gone, nil
	}
	if err != nil {
		return err
	}
	if err := s.writeMeta(w.Header(), rec); err != nil {
		return err
	}
	s.etag(w, rec)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) etag(w http.ResponseWriter, rec *Record) {
	switch {
	case rec.Checksum != "" && s.Release > Bexar:
		w.Header()["ETag"] = []string{rec.Checksum} // without quotes
	case s.Release == Cactus || s.Release == Diablo || s.Release == Essex:
		w.Header()["ETag"] = []string{"None"}
	}
}

// getV1 sends the data, all of it whatever Range says.
func (s *Server) getV1(w http.ResponseWriter, r *request) error {
	rec, err := s.seen(r)
	switch {
	case err != nil:
		return err
	case rec.Status == statusDeactivated && !r.admin:
		return forbidden("Image %s is not active", rec.ID)
	case rec.Status != statusActive && !s.Release.knowsWho():
		panic(http.ErrAbortHandler) // the connection is closed without an answer
	case rec.Status != statusActive:
		return notFound("Image %s is not active", rec.ID)
	}
	f, err := s.store.open(rec.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return notFound("Image data not found")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	if err := s.writeMeta(h, rec); err != nil {
		return err
	}
	s.etag(w, rec)
	if s.Release == Bexar {
		h.Set("Content-Type", "text/plain; charset=UTF-8")
	} else {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.FormatInt(*rec.Size, 10))
	}
	w.WriteHeader(http.StatusOK)
	if s.Release == Bexar {
		http.NewResponseController(w).Flush() // so that no length is told
	}
	if _, err := io.CopyN(w, f, *rec.Size); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// fillV1 receives the data of an image that was just made or is queued. What
// fails leaves the image killed, from where there is no way back.
func (s *Server) fillV1(r *request, id string, c claim) (*Record, error) {
	if err := s.acceptsV1(r, id, c); err != nil {
		return nil, err
	}
	p, err := s.store.receive(r.Body)
	defer p.discard()
	if err != nil && (p == nil || r.ContentLength < 0 || !s.Release.keepsShort()) {
		return nil, s.kill(id, fmt.Errorf("%w: %w", errIncomplete, err))
	}
	if err := s.checkV1(p, c); err != nil {
		return nil, s.kill(id, err)
	}
	return s.store.update(id, func(rec *Record, now time.Time) error {
		p.describe(rec)
		if s.Release == Bexar {
			rec.Checksum = ""
		}
		rec.Status, rec.UpdatedAt = statusActive, now
		return s.store.moveIn(p, id)
	})
}

// acceptsV1 makes an image ready for its data.
func (s *Server) acceptsV1(r *request, id string, c claim) error {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/octet-stream" && hasBody(r.Request) {
		return s.kill(id, badRequest("Content-Type must be application/octet-stream"))
	}
	if store := c.fields["store"]; store != "" && store != "file" {
		err := badRequest("Requested store %s not available on this Glance server", store)
		if s.Release == Bexar {
			return s.kill(id, err)
		}
		return err
	}
	var stuck error
	_, err := s.store.update(id, func(rec *Record, now time.Time) error {
		switch {
		case rec.Status != statusQueued:
			return conflict("Cannot upload to an unqueued image")
		case s.Release == Bexar && rec.Type == "":
			return errCrashed()
		case s.Release >= Essex && (rec.DiskFormat == "" || rec.ContainerFormat == ""):
			stuck = badRequest("Disk format is not specified.")
			if s.Release != Essex { // where it is noticed too late
				return stuck
			}
		}
		rec.Status, rec.UpdatedAt = statusSaving, now
		return nil
	})
	if err != nil {
		return err
	}
	return stuck
}

// checkV1 compares what came with what was claimed.
func (s *Server) checkV1(p *part, c claim) error {
	size, err := s.size(c)
	switch {
	case err != nil:
		return err
	case size != nil && *size != p.size && s.Release >= Queens:
		return badRequest("Supplied size %d and size %d generated from uploaded image did not match. Setting image status to 'killed'.", *size, p.size)
	case s.Release != Bexar && c.fields["checksum"] != "" && c.fields["checksum"] != p.md5:
		return badRequest("Supplied checksum (%s) and checksum generated from uploaded image (%s) did not match. Setting image status to 'killed'.",
			c.fields["checksum"], p.md5)
	}
	return nil
}

// kill gives an image up because of cause, which it returns.
func (s *Server) kill(id string, cause error) error {
	_, err := s.store.update(id, func(rec *Record, now time.Time) error {
		rec.Status, rec.UpdatedAt = statusKilled, now
		return nil
	})
	if errors.Is(cause, errIncomplete) {
		cause = badRequest("The image data broke off.")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(cause, err)
	}
	return cause
}
