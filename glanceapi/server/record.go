package server

import (
	"maps"
	"slices"
	"time"
)

// The states of an image. The API knows more of them; this server has no use
// for the others, but keeps an image that was added with one.
const (
	statusQueued      = "queued"
	statusSaving      = "saving"
	statusActive      = "active"
	statusDeactivated = "deactivated"
	statusKilled      = "killed" // by an upload through v1 that failed
	statusDeleted     = "deleted"
)

// Who may see an image.
const (
	visibilityPublic    = "public"
	visibilityPrivate   = "private"
	visibilityShared    = "shared"
	visibilityCommunity = "community"
)

// A Record is all that is known of an image but its data. Nil and, for the
// strings, "" stand for the API's null.
type Record struct {
	ID              string            `json:"id"`
	Name            *string           `json:"name"` // any bytes; "" and null differ
	Status          string            `json:"status"`
	Visibility      string            `json:"visibility"`
	Owner           string            `json:"owner,omitempty"`
	Protected       bool              `json:"protected,omitempty"`
	Hidden          bool              `json:"hidden,omitempty"`
	DiskFormat      string            `json:"disk_format,omitempty"`
	ContainerFormat string            `json:"container_format,omitempty"`
	Type            string            `json:"type,omitempty"`         // Bexar's, in place of the formats
	Size            *int64            `json:"size,omitempty"`         // bytes
	VirtualSize     *int64            `json:"virtual_size,omitempty"` // bytes
	Checksum        string            `json:"checksum,omitempty"`     // md5, hex
	HashAlgo        string            `json:"hash_algo,omitempty"`
	HashValue       string            `json:"hash_value,omitempty"` // hex
	MinDisk         int64             `json:"min_disk,omitempty"`   // GiB
	MinRAM          int64             `json:"min_ram,omitempty"`    // MiB
	CreatedAt       time.Time         `json:"created_at"`           // to the microsecond
	UpdatedAt       time.Time         `json:"updated_at"`
	Tags            []string          `json:"tags,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	Members         []Member          `json:"members,omitempty"` // in the order they were added
	Left            []string          `json:"left,omitempty"`    // projects that were members and are not, as v1 remembers them
}

// A Member is a project that an image is shared with.
type Member struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"`              // pending, accepted or rejected
	CanShare  bool      `json:"can_share,omitempty"` // v1: it may share the image on
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// clone returns a copy that shares nothing with r that could be changed.
func (r *Record) clone() *Record {
	c := *r
	c.Name, c.Size, c.VirtualSize = clonePtr(r.Name), clonePtr(r.Size), clonePtr(r.VirtualSize)
	c.Tags = slices.Clone(r.Tags)
	c.Properties = maps.Clone(r.Properties)
	c.Members = slices.Clone(r.Members)
	c.Left = slices.Clone(r.Left)
	return &c
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

func (r *Record) member(project string) *Member {
	i := slices.IndexFunc(r.Members, func(m Member) bool { return m.ID == project })
	if i < 0 {
		return nil
	}
	return &r.Members[i]
}

func (r *Record) name() string {
	if r.Name == nil {
		return ""
	}
	return *r.Name
}

// clearData makes r an image whose data has yet to come.
func (r *Record) clearData() {
	r.Status = statusQueued
	r.Size, r.VirtualSize = nil, nil
	r.Checksum, r.HashAlgo, r.HashValue = "", "", ""
}
