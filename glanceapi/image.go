package glanceapi

import (
	"strings"
	"time"
)

// An Image is one image's record, the same for every version of the API.
// The zero value of a string field stands for the API's null.
type Image struct {
	ID              string
	Name            string
	Status          string // queued, saving, uploading, importing, active, deactivated, killed, deleted, pending_delete
	Visibility      string // public, private, shared, community
	Protected       bool
	Hidden          bool
	Owner           string // project id
	Size            int64  // bytes; UnknownSize while the image has no data
	VirtualSize     int64  // bytes the guest sees; UnknownSize where the service does not say
	DiskFormat      string
	ContainerFormat string
	Checksum        string // md5 of the data, lower-case hex
	HashAlgo        string // of HashValue, as Python's hashlib names it: sha512, sha256, ...
	HashValue       string // lower-case hex
	MinDisk         int64  // GiB
	MinRAM          int64  // MiB
	Tags            []string
	CreatedAt       time.Time
	UpdatedAt       time.Time
	Properties      map[string]string // every further property, by its own key; also those of OfService
}

// OfService reports whether a property is one that the service alone gives to an
// image: the stores its data is in, where there are several, and what an import
// leaves. v2 takes them from nobody.
func OfService(property string) bool {
	return property == "stores" || strings.HasPrefix(property, "os_glance_")
}

// UnknownSize is the Size of an image whose size the service does not know.
const UnknownSize = -1

// A Member is one project an image is shared with.
type Member struct {
	ID       string // of the project
	Status   string // v2: pending, accepted, rejected; "" on v1
	CanShare *bool  // v1: the member may share on; nil on v2
}

// A MemberImage is one image that is shared with a project.
type MemberImage struct {
	ID       string
	CanShare *bool // v1: the project may share it on; nil on v2
}

// A Page is one answer of a listing.
type Page struct {
	Images []Image
	Date   time.Time // the service's clock when it answered; zero where it did not say
}
