package server

import (
	"cmp"
	"slices"
	"strings"
)

// An order is the keys that a listing is sorted by, the first of them first.
type order []sortKey

type sortKey struct {
	name       string
	descending bool
}

func sortNames() []string {
	return []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}
}

// parseOrder reads sort=key:dir,... or the older sort_key and sort_dir, and
// adds created_at and id so that every order is total.
func parseOrder(ps params) (order, error) {
	names, dirs := slices.Clone(ps.all("sort_key")), ps.all("sort_dir")
	if sort, ok := ps.last("sort"); ok {
		if names != nil || dirs != nil {
			return nil, badRequest("Old and new sorting syntax cannot be combined")
		}
		for item := range strings.SplitSeq(sort, ",") {
			name, dir, ok := strings.Cut(strings.TrimSpace(item), ":")
			if !ok {
				dir = "desc"
			}
			names, dirs = append(names, name), append(dirs, dir)
		}
	}
	for _, n := range names {
		if !slices.Contains(sortNames(), n) {
			return nil, badRequest("Invalid sort key: %s. It must be one of the following: %s.", n, strings.Join(sortNames(), ", "))
		}
	}
	for _, d := range dirs {
		if d != "asc" && d != "desc" {
			return nil, badRequest("Invalid sort direction: %s", d)
		}
	}
	if len(names) == 0 {
		names = []string{"created_at"}
	}
	if len(dirs) > 1 && len(dirs) != len(names) {
		return nil, badRequest("Number of sort dirs does not match the number of sort keys")
	}
	return makeOrder(names, dirs), nil
}

// makeOrder joins names and directions, of which there are as many as names,
// one for all, or none for descending.
func makeOrder(names, dirs []string) order {
	common := "desc"
	if len(dirs) == 1 {
		common = dirs[0]
	}
	for _, n := range []string{"created_at", "id"} {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	o := make(order, len(names))
	for i, n := range names {
		dir := common
		if i < len(dirs) {
			dir = dirs[i]
		}
		o[i] = sortKey{name: n, descending: dir == "desc"}
	}
	return o
}

func (o order) compare(a, b *Record) int {
	for _, k := range o {
		c := compareBy(k.name, a, b)
		if k.descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// compareBy sorts null before everything else, as SQLite and MySQL do.
func compareBy(name string, a, b *Record) int {
	switch name {
	case "name":
		return compareNull(a.Name, b.Name)
	case "status":
		return cmp.Compare(a.Status, b.Status)
	case "container_format":
		return cmp.Compare(a.ContainerFormat, b.ContainerFormat)
	case "disk_format":
		return cmp.Compare(a.DiskFormat, b.DiskFormat)
	case "size":
		return compareNull(a.Size, b.Size)
	case "created_at":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "updated_at":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	}
	return cmp.Compare(a.ID, b.ID)
}

func compareNull[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}
