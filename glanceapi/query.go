package glanceapi

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A Query selects and sorts images. The zero Query selects what the service
// lists by default, newest first. A condition that is the zero value of its
// type is none; an image has to meet all.
type Query struct {
	Name            string // exactly this name
	Status          string
	ContainerFormat string
	DiskFormat      string
	SizeMin         *int64 // bytes; no image of unknown size meets it
	SizeMax         *int64 // bytes; no image of unknown size meets it
	Visibility      string // public, private, shared, community, or all for those that are listed only on request too
	Public          *bool
	Owner           string // project id
	Tags            []string
	Protected       *bool
	// MemberStatus lists the images shared with the caller in whose members it
	// has this status, pending, accepted, rejected or all, beside those it shares
	// itself. v1 has no such status: errors.ErrUnsupported.
	MemberStatus string
	Properties   map[string]string
	UpdatedSince time.Time // changed at or after it, whole seconds

	Sort      string // one of SortKeys; "" for created_at
	Ascending bool
	Limit     int // how many images at most; 0 for all
}

// SortKeys returns what a Query can sort by.
func SortKeys() []string {
	return []string{"id", "name", "status", "container_format", "disk_format", "size", "created_at", "updated_at"}
}

func (q *Query) check() error {
	switch {
	case q.Sort != "" && !slices.Contains(SortKeys(), q.Sort):
		return invalid("sorting images by %.80q", q.Sort)
	case q.Limit < 0:
		return invalid("at most %d images", q.Limit)
	case !slices.Contains([]string{"", "public", "private", "shared", "community", "all"}, q.Visibility):
		return invalid("visibility %.80q", q.Visibility)
	case !slices.Contains([]string{"", "pending", "accepted", "rejected", "all"}, q.MemberStatus):
		return invalid("member status %.80q", q.MemberStatus)
	}
	return nil
}

// selects applies the conditions here as well, because services compare without
// case and ignore what they do not know. What only the service knows, the
// caller's standing with an image, is left to it.
func (q *Query) selects(i *Image) bool {
	for _, c := range []struct{ want, have string }{
		{q.Name, i.Name}, {q.Status, i.Status}, {q.ContainerFormat, i.ContainerFormat}, {q.DiskFormat, i.DiskFormat}, {q.Owner, i.Owner},
	} {
		if c.want != "" && c.want != c.have {
			return false
		}
	}
	for k, v := range q.Properties {
		if have, ok := i.Properties[k]; !ok || have != v {
			return false
		}
	}
	for _, t := range q.Tags {
		if !slices.Contains(i.Tags, t) {
			return false
		}
	}
	return q.admits(i) && q.sized(i) && !changed(i).Before(q.UpdatedSince.Truncate(time.Second))
}

func (q *Query) admits(i *Image) bool {
	switch {
	case q.Visibility != "" && q.Visibility != "all" && q.Visibility != i.Visibility:
		return false
	case q.MemberStatus != "" && i.Visibility != "shared":
		return false
	case q.Public != nil && *q.Public != (i.Visibility == "public"):
		return false
	}
	return q.Protected == nil || *q.Protected == i.Protected
}

func (q *Query) sized(i *Image) bool {
	return (q.SizeMin == nil || i.Size != UnknownSize && i.Size >= *q.SizeMin) &&
		(q.SizeMax == nil || i.Size != UnknownSize && i.Size <= *q.SizeMax)
}

// endOfTime is later than every change.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// changed is when an image was last changed, as far as the service says: the
// first releases have no updated_at before the first change. A time that is not
// known is no reason to leave the image out.
func changed(i *Image) time.Time {
	switch {
	case !i.UpdatedAt.IsZero():
		return i.UpdatedAt
	case !i.CreatedAt.IsZero():
		return i.CreatedAt
	}
	return endOfTime
}

// compare orders images as the service does that sorts itself: what is missing
// first, equals by created_at and then by id, all in the same direction.
func (q *Query) compare(a, b *Image) int {
	c := cmp.Or(compareBy(q.Sort, a, b), a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	if q.Ascending {
		return c
	}
	return -c
}

func compareBy(key string, a, b *Image) int {
	switch key {
	case "id":
		return strings.Compare(a.ID, b.ID)
	case "name":
		return strings.Compare(a.Name, b.Name)
	case "status":
		return strings.Compare(a.Status, b.Status)
	case "container_format":
		return strings.Compare(a.ContainerFormat, b.ContainerFormat)
	case "disk_format":
		return strings.Compare(a.DiskFormat, b.DiskFormat)
	case "size":
		return cmp.Compare(a.Size, b.Size)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	}
	return 0 // created_at, by which equals are ordered anyway
}
