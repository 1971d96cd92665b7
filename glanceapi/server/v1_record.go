package server

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A cell is one field of a record on its way out, in both forms.
type cell struct {
	name string
	text string // in a header
	json []byte // in a document
	null bool
}

func textCell(name, v string) cell {
	if v == "" {
		return cell{name: name, json: []byte("null"), null: true}
	}
	return cell{name: name, text: v, json: appendString(nil, v)}
}

func boolCell(name string, v bool) cell {
	text := "False"
	if v {
		text = "True"
	}
	return cell{name: name, text: text, json: strconv.AppendBool(nil, v)}
}

func numberCell(name string, v *int64) cell {
	if v == nil {
		return textCell(name, "")
	}
	text := strconv.FormatInt(*v, 10)
	return cell{name: name, text: text, json: []byte(text)}
}

// timeCell shows a time to the microsecond and without a zone, as it was in the
// database, a fraction only where there is one.
func timeCell(name string, t time.Time) cell {
	return textCell(name, t.UTC().Format("2006-01-02T15:04:05.999999"))
}

func (s *Server) idCell(id string) cell {
	if s.Release.integerIDs() {
		return cell{name: "id", text: id, json: []byte(id)}
	}
	return textCell("id", id)
}

// brief is a record as the short list has it.
func (s *Server) brief(r *Record) []cell {
	name := textCell("name", r.name())
	if r.Name != nil && *r.Name == "" {
		name = cell{name: "name", json: []byte(`""`)}
	}
	cells := []cell{s.idCell(r.ID), name, numberCell("size", r.Size)}
	if s.Release == Bexar {
		return append(cells, textCell("type", r.Type))
	}
	return append(cells, textCell("disk_format", r.DiskFormat), textCell("container_format", r.ContainerFormat), textCell("checksum", r.Checksum))
}

// cells is a whole record but for its properties.
func (s *Server) cells(r *Record) []cell {
	cells := append(s.brief(r), textCell("status", r.Status), boolCell("is_public", r.Visibility == visibilityPublic), timeCell("created_at", r.CreatedAt))
	updated := timeCell("updated_at", r.UpdatedAt)
	if s.Release <= Diablo && r.UpdatedAt.Equal(r.CreatedAt) {
		updated = textCell("updated_at", "") // not changed yet
	}
	cells = append(cells, updated, textCell("deleted_at", ""), boolCell("deleted", r.Status == statusDeleted))
	if s.Release >= Diablo {
		cells = append(cells, numberCell("min_disk", &r.MinDisk), numberCell("min_ram", &r.MinRAM), textCell("owner", r.Owner))
	}
	if s.Release >= Essex {
		cells = append(cells, boolCell("protected", r.Protected))
	}
	if s.Release >= Queens {
		cells = append(cells, numberCell("virtual_size", r.VirtualSize))
	}
	return cells
}

func cellsJSON(cells []cell) *object {
	o := new(object)
	for _, c := range cells {
		o.raw(c.name, c.json)
	}
	return o
}

// imageV1 is a whole record in JSON. The location, which may hold a password,
// was shown in the first releases.
func (s *Server) imageV1(r *Record, listed bool) []byte {
	o := cellsJSON(s.cells(r))
	var properties object
	for _, k := range slices.Sorted(maps.Keys(r.Properties)) {
		properties.str(k, r.Properties[k])
	}
	o.raw("properties", properties.bytes())
	if s.Release <= Cactus || s.Release == Diablo && !listed {
		o.null("location", s.location(r))
	}
	return o.bytes()
}

func (s *Server) location(r *Record) string {
	if r.Status != statusActive {
		return ""
	}
	return "file:///var/lib/glance/images/" + r.ID
}

// writeMeta puts a record into an answer's headers, or fails as a server does
// that cannot write its text there. Header names are capitalised at hyphens
// only, so they are not what net/http would make of them.
func (s *Server) writeMeta(h http.Header, r *Record) error {
	cells := s.cells(r)
	for _, k := range slices.Sorted(maps.Keys(r.Properties)) {
		name := "property-"
		if k != "" {
			name += strings.ToUpper(k[:1]) + k[1:]
		}
		cells = append(cells, cell{name: name, text: r.Properties[k]})
	}
	if s.Release <= Diablo {
		cells = append(cells, textCell("location", s.location(r)))
	}
	if s.Release == Bexar {
		cells = append(cells, cell{name: "properties", text: "{}"})
	}
	for _, c := range cells {
		if s.Release.crashesOnText() && !(ascii(c.name) && ascii(c.text)) {
			return errCrashed()
		}
		if c.null && s.Release >= Essex {
			continue
		}
		if c.null && s.Release == Bexar {
			c.text = "None"
		}
		h["X-Image-Meta-"+strings.ToUpper(c.name[:1])+c.name[1:]] = []string{c.text}
	}
	return nil
}
