package server

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A filter reports whether a listing has the image.
type filter func(*Record) bool

// parseFilter reads what a listing is restricted to. A key that it does not
// know is taken for the name of a property, as Glance does it, so a slip of
// the pen lists nothing.
func parseFilter(ps params, c caller) (filter, error) {
	scope, err := parseScope(ps, c)
	if err != nil {
		return nil, err
	}
	filters := []filter{scope}
	for _, p := range ps {
		switch p.key {
		case "limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "os_hidden", "deleted":
			continue
		case "tag":
			filters = append(filters, func(r *Record) bool {
				return !slices.ContainsFunc(p.values, func(t string) bool { return !slices.Contains(r.Tags, t) })
			})
			continue
		}
		f, err := parseOne(p.key, p.values[len(p.values)-1])
		if err != nil {
			return nil, err
		}
		filters = append(filters, f)
	}
	return func(r *Record) bool {
		return !slices.ContainsFunc(filters, func(f filter) bool { return !f(r) })
	}, nil
}

// parseScope reads the parameters that decide which images c is shown at all.
func parseScope(ps params, c caller) (filter, error) {
	visibility, ok := ps.last("visibility")
	if ok && visibility != "all" && !slices.Contains(visibilities(), visibility) {
		return nil, badRequest("Invalid visibility value: %s", visibility)
	}
	status, ok := ps.last("member_status")
	if !ok {
		status = "accepted"
	}
	if !slices.Contains([]string{"pending", "accepted", "rejected", "all"}, status) {
		return nil, badRequest("Invalid status: %s", status)
	}
	hidden := false
	if v, ok := ps.last("os_hidden"); ok {
		var err error
		if hidden, err = parseFlag("os_hidden", v); err != nil {
			return nil, err
		}
	}
	return func(r *Record) bool { return r.Hidden == hidden && c.lists(r, visibility, status) }, nil
}

func parseFlag(key, v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, badRequest("Invalid value '%s' for '%s' filter. Valid values are 'true' or 'false'.", v, key)
}

func parseOne(key, v string) (filter, error) {
	switch key {
	case "name":
		return parseIn(v, func(r *Record) (string, bool) { return r.name(), r.Name != nil })
	case "id":
		return parseIn(v, func(r *Record) (string, bool) { return r.ID, true })
	case "status":
		return parseIn(v, func(r *Record) (string, bool) { return r.Status, true })
	case "disk_format":
		return parseIn(v, func(r *Record) (string, bool) { return r.DiskFormat, r.DiskFormat != "" })
	case "container_format":
		return parseIn(v, func(r *Record) (string, bool) { return r.ContainerFormat, r.ContainerFormat != "" })
	case "created_at":
		return parseTime(key, v, func(r *Record) time.Time { return r.CreatedAt })
	case "updated_at":
		return parseTime(key, v, func(r *Record) time.Time { return r.UpdatedAt })
	case "protected":
		want, err := parseFlag(key, v)
		return func(r *Record) bool { return r.Protected == want }, err
	case "changes-since":
		return nil, badRequest(`The "changes-since" filter is no longer available on v2.`)
	case "size", "virtual_size", "min_disk", "min_ram":
		return parseEqual(key, v), nil
	case "owner":
		return func(r *Record) bool { return v != "" && r.Owner == v }, nil
	case "checksum":
		return func(r *Record) bool { return v != "" && r.Checksum == v }, nil
	case "os_hash_algo":
		return func(r *Record) bool { return v != "" && r.HashAlgo == v }, nil
	case "os_hash_value":
		return func(r *Record) bool { return v != "" && r.HashValue == v }, nil
	}
	return parseOther(key, v)
}

// number returns one of the numbers that a listing can be filtered by, nil if
// it is not known or not a number.
func number(r *Record, key string) *int64 {
	switch key {
	case "size":
		return r.Size
	case "virtual_size":
		return r.VirtualSize
	case "min_disk":
		return &r.MinDisk
	case "min_ram":
		return &r.MinRAM
	}
	return nil
}

func parseEqual(key, v string) filter {
	want, err := strconv.ParseInt(v, 10, 64)
	return func(r *Record) bool {
		n := number(r, key)
		return err == nil && n != nil && *n == want
	}
}

// parseOther reads a bound, such as size_min, or a property.
func parseOther(key, v string) (filter, error) {
	name, isMin := strings.CutSuffix(key, "_min")
	name, isMax := strings.CutSuffix(name, "_max")
	if !isMin && !isMax {
		return func(r *Record) bool {
			have, ok := r.Properties[key]
			return ok && have == v
		}, nil
	}
	bound, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil, badRequest("Unable to filter on a range with a non-numeric value.")
	}
	return func(r *Record) bool {
		n := number(r, name)
		return n != nil && (isMin && *n >= bound || isMax && *n <= bound)
	}, nil
}

// parseIn reads "value", "eq:value" or "in:value,value".
func parseIn(v string, field func(*Record) (s string, ok bool)) (filter, error) {
	operator, rest, ok := strings.Cut(v, ":")
	if !ok {
		operator, rest = "eq", v
	}
	want := []string{rest}
	switch operator {
	case "eq":
	case "in":
		var err error
		if want, err = splitList(rest); err != nil {
			return nil, err
		}
	default:
		return nil, badRequest("Unable to filter by unknown operator '%s'.", operator)
	}
	return func(r *Record) bool {
		s, ok := field(r)
		return ok && slices.Contains(want, s)
	}, nil
}

// splitList splits at commas that are not within double quotes. Empty values
// do not count.
func splitList(list string) ([]string, error) {
	var values []string
	for rest := list; rest != ""; {
		var v string
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			if v, rest, ok = strings.Cut(quoted, `"`); !ok {
				return nil, badRequest("Invalid filter value %s. The quote is not closed.", list)
			}
			if rest != "" && rest[0] != ',' {
				return nil, badRequest("Invalid filter value %s. There is no comma after closing quotation mark.", list)
			}
			rest = strings.TrimPrefix(rest, ",")
		} else {
			v, rest, _ = strings.Cut(rest, ",")
		}
		if v != "" {
			values = append(values, v)
		}
	}
	return values, nil
}

// parseTime reads "operator:time" or a time, which is compared with the
// microseconds that the API does not show.
func parseTime(key, v string, field func(*Record) time.Time) (filter, error) {
	operator, rest := "eq", v
	if _, err := parseISO(v); err != nil {
		operator, rest, _ = strings.Cut(v, ":")
	}
	want, err := parseISO(rest)
	if err != nil {
		return nil, badRequest("Bad \"%s\" query filter format. Use ISO 8601 DateTime notation.", key)
	}
	holds, ok := map[string]func(c int) bool{
		"eq":  func(c int) bool { return c == 0 },
		"neq": func(c int) bool { return c != 0 },
		"gt":  func(c int) bool { return c > 0 },
		"gte": func(c int) bool { return c >= 0 },
		"lt":  func(c int) bool { return c < 0 },
		"lte": func(c int) bool { return c <= 0 },
	}[operator]
	if !ok {
		return nil, badRequest("Unable to filter on a unknown operator.")
	}
	return func(r *Record) bool { return holds(field(r).Compare(want)) }, nil
}

// parseISO reads the forms of ISO 8601 that clients send; a time without a
// zone is in UTC.
func parseISO(v string) (time.Time, error) {
	var first error
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		t, err := time.Parse(layout, v)
		if err == nil {
			return t, nil
		}
		if first == nil {
			first = err
		}
	}
	return time.Time{}, first
}
