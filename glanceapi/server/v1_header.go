package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// In v1 a record travels in headers: x-image-meta-FIELD and
// x-image-meta-property-KEY. Underscores and hyphens are the same to the
// server, and so is case, also in the keys of properties.
const (
	metaPrefix     = "x_image_meta_"
	propertyPrefix = metaPrefix + "property_"
)

// A claim is what a request says of an image in headers.
type claim struct {
	fields     map[string]string
	properties map[string]string
}

// parseClaim reads headers. From 2013 on a field that is not known is refused.
func (s *Server) parseClaim(h http.Header) (claim, error) {
	c := claim{fields: map[string]string{}, properties: map[string]string{}}
	for name, values := range h {
		key := strings.ReplaceAll(strings.ToLower(name), "-", "_")
		value := strings.TrimSpace(strings.Join(values, ","))
		if k, ok := strings.CutPrefix(key, propertyPrefix); ok {
			c.properties[k] = value
			continue
		}
		k, ok := strings.CutPrefix(key, metaPrefix)
		if !ok {
			continue
		}
		if s.Release >= Queens && !slices.Contains(fieldsV1(), k) {
			return claim{}, badRequest("Bad header: %s", strings.ToLower(name))
		}
		c.fields[k] = value
	}
	return c, nil
}

func fieldsV1() []string {
	return []string{"location", "size", "is_public", "disk_format", "container_format", "name", "status", "copy_from", "uri", "checksum",
		"created_at", "updated_at", "deleted_at", "min_ram", "min_disk", "owner", "store", "id", "protected", "deleted", "virtual_size"}
}

// errCrashed is what an exception makes of a request.
func errCrashed() *problem {
	return newProblem(http.StatusInternalServerError, "Traceback (most recent call last): the request was not understood.")
}

// junk refuses a value in the manner of the release.
func (s *Server) junk(format string, args ...any) *problem {
	if s.Release <= Diablo {
		return errCrashed()
	}
	return badRequest(format, args...)
}

// apply puts the claim into a record. It leaves out what the caller has to do
// with: id, status, size, checksum, store and properties.
func (s *Server) apply(c claim, rec *Record, who caller) error {
	for key, value := range c.fields {
		switch key {
		case "name":
			rec.Name = &value
			if value == "" && s.Release != Bexar {
				rec.Name = nil
			}
		case "is_public":
			if err := s.publish(rec, value, who); err != nil {
				return err
			}
		case "protected":
			rec.Protected = s.Release >= Essex && s.truth(value)
		case "owner":
			if s.Release.knowsWho() && who.admin && value != "" {
				rec.Owner = value
			}
		case "min_disk", "min_ram":
			if err := s.setMinimum(rec, key, value); err != nil {
				return err
			}
		case "location":
			return badRequest("Location is not supported here.")
		}
	}
	return s.setFormats(c, rec)
}

// publish lets everybody see an image, or not.
func (s *Server) publish(rec *Record, value string, who caller) error {
	public := s.truth(value)
	if public && s.Release >= Queens && !who.publisher && rec.Visibility != visibilityPublic {
		return errPublicize()
	}
	switch {
	case public:
		rec.Visibility = visibilityPublic
	case rec.Visibility == visibilityPublic || rec.Visibility == "":
		rec.Visibility = visibilityShared // which v2 calls a private image that can have members
	}
	return nil
}

// truth reads a boolean, of which each release had its own idea.
func (s *Server) truth(value string) bool {
	v := strings.ToLower(value)
	switch {
	case s.Release == Bexar:
		return v != ""
	case s.Release <= Diablo:
		return v == "true"
	case v == "t":
		return s.Release >= Queens
	}
	return slices.Contains([]string{"true", "on", "1", "yes", "y"}, v)
}

func (s *Server) setMinimum(rec *Record, key, value string) error {
	if s.Release < Diablo || value == "" {
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return s.junk("Invalid value '%s' for parameter '%s'", value, key)
	}
	if key == "min_disk" {
		rec.MinDisk = n
	} else {
		rec.MinRAM = n
	}
	return nil
}

// setFormats checks what the image is said to be. The Amazon formats go only
// together with themselves.
func (s *Server) setFormats(c claim, rec *Record) error {
	if s.Release == Bexar {
		kind, ok := c.fields["type"]
		if ok && !slices.Contains([]string{"machine", "kernel", "ramdisk", "raw"}, kind) {
			return errCrashed()
		}
		if ok {
			rec.Type = kind
		}
		return nil
	}
	disk, container := rec.DiskFormat, rec.ContainerFormat
	for key, field := range map[string]*string{"disk_format": &disk, "container_format": &container} {
		if v, ok := c.fields[key]; ok {
			*field = v
		}
	}
	amazon := func(f string) bool { return slices.Contains([]string{"ami", "aki", "ari"}, f) }
	switch {
	case disk != "" && !slices.Contains(diskFormats(), disk):
		return badRequest("Invalid disk format '%s' for image.", disk)
	case container != "" && !slices.Contains(containerFormats(), container):
		return badRequest("Invalid container format '%s' for image.", container)
	case disk != "" && container != "" && (amazon(disk) || amazon(container)) && disk != container:
		return badRequest("Invalid mix of disk and container formats. When setting a disk or container format to one of 'aki', 'ari', or 'ami', " +
			"the container and disk formats must match.")
	}
	rec.DiskFormat, rec.ContainerFormat = disk, container
	return nil
}

// size returns the size claimed, nil if there is none.
func (s *Server) size(c claim) (*int64, error) {
	v, ok := c.fields["size"]
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case v == "":
		return nil, errCrashed()
	case err != nil:
		return nil, s.junk("Image size must be an integer")
	case n < 0 && s.Release > Essex:
		return nil, badRequest("Image size must be >= 0")
	}
	return &n, nil
}
