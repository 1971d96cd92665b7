package server

import (
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// upload is PUT of an image's data. Every refusal comes before the body is
// read, so that a client that sent "Expect: 100-continue" has sent nothing.
func (s *Server) upload(w http.ResponseWriter, r *request) error {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/octet-stream" {
		return unsupportedMedia(r)
	}
	_, err := s.change(r, noImage(r.id()), func(rec *Record, now time.Time) error {
		if !r.owns(rec) {
			return forbidden("Not allowed to upload image data for image %s", rec.ID)
		}
		rec.UpdatedAt = now
		return startSaving(rec)
	})
	if err != nil {
		return err
	}
	err = s.store.fill(r.id(), r.Body)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newProblem(http.StatusGone, "Image %s could not be found after upload. The image may have been deleted during the upload.", r.id())
	case errors.Is(err, errIncomplete):
		return badRequest("The image data broke off.")
	case err != nil:
		return err
	}
	writeEmpty(w)
	return nil
}

func unsupportedMedia(r *request) *problem {
	return newProblem(http.StatusUnsupportedMediaType,
		"The request media type %s is not supported by this server.", r.Header.Get("Content-Type"))
}

// startSaving makes sure that only one upload of an image runs.
func startSaving(rec *Record) error {
	if rec.Status != statusQueued {
		return conflict("Image status transition from %s to saving is not allowed", rec.Status)
	}
	switch {
	case rec.DiskFormat == "" && rec.ContainerFormat == "":
		return badRequest("Properties disk_format, container_format must be set prior to saving data.")
	case rec.DiskFormat == "":
		return badRequest("Property disk_format must be set prior to saving data.")
	case rec.ContainerFormat == "":
		return badRequest("Property container_format must be set prior to saving data.")
	}
	rec.Status = statusSaving
	return nil
}

// download is GET of an image's data, or of the part that a Range header
// names.
func (s *Server) download(w http.ResponseWriter, r *request) error {
	rec, err := s.visible(r)
	if err != nil {
		return err
	}
	if rec.Status == statusDeactivated && !r.admin {
		return forbidden("The requested image has been deactivated. Image data download is forbidden.")
	}
	mode := RangesServed
	if s.Ranges != nil {
		mode = s.Ranges(r.Request)
	}
	asked := r.Header.Get("Range")
	if mode == RangesIgnored {
		asked = ""
	}
	sp, err := parseRange(asked, rec.Size)
	if errors.Is(err, errCrash) {
		crash(w)
		return nil
	}
	if err != nil {
		return err
	}
	if asked != "" && mode == RangesRefused {
		return badRequest("Getting images randomly from this store is not supported. Offset: %d, length: %d", sp.off, sp.n)
	}
	return s.send(w, rec, sp)
}

// crash is the answer of a Glance that an exception went through.
func crash(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", "0")
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusInternalServerError)
}

// send writes the data that sp selects, or 204 if the image has none. The
// answer has no ETag and no Accept-Ranges, and its Content-Md5 is that of the
// whole image even where it is a part.
func (s *Server) send(w http.ResponseWriter, rec *Record, sp span) error {
	if rec.Size == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	f, err := s.store.open(rec.ID)
	if errors.Is(err, fs.ErrNotExist) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(sp.off, io.SeekStart); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(sp.n, 10))
	if rec.Checksum != "" {
		h.Set("Content-Md5", rec.Checksum)
	}
	status := http.StatusOK
	if sp.part {
		h.Set("Content-Range", sp.contentRange(*rec.Size))
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	if _, err := io.CopyN(w, f, sp.n); err != nil {
		// The status is on its way already: only the connection's end can
		// say that the body is not whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}
