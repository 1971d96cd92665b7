package server

// A Release is a release of Glance whose habits in speaking v1 a Server has.
// Later ones were changed so little that the named ones stand for all; what is
// told of them was seen on running servers. v2 is Zed's in every release that
// has it.
type Release int

const (
	// Bexar, February 2011: the first v1. Paths have no version, ids are numbers,
	// images have a type in place of formats and no checksum. There is no
	// authentication, no query and no membership; properties cannot be removed.
	Bexar Release = iota - 4
	// Cactus, April 2011: formats and checksums. Properties are replaced by
	// every change.
	Cactus
	// Diablo, September 2011: paths have a version, and there are tenants,
	// filters, sorting, pages and members.
	Diablo
	// Essex, April 2012: ids are UUIDs, images can be protected, formats are
	// required and properties can be kept.
	Essex
	// Queens, 2018, is the zero Release: the last one with v1, and v2 beside it.
	// Sizes and unknown fields are checked.
	Queens
	// Zed, 2022, has no v1.
	Zed
)

func (r Release) hasV2() bool { return r >= Queens }

func (r Release) integerIDs() bool { return r <= Diablo }

// knowsWho tells whether there are tenants, and with them lists that depend on
// who asks, queries and members.
func (r Release) knowsWho() bool { return r >= Diablo }

// crashesOnText tells whether text that is not ASCII makes answers fail whose
// headers would have it, and filters.
func (r Release) crashesOnText() bool { return r <= Essex }

// keepsShort tells whether an upload that broke off makes an active image of
// what came, if its length was announced.
func (r Release) keepsShort() bool { return r <= Essex }
