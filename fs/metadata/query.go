package metadata

import (
	"fmt"
	iofs "io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"glancefs/glanceapi"
)

// propertyPrefix makes the key of a condition of a property's key.
const propertyPrefix = "property-"

// ParseQuery reads the name of a directory in query/: key=value, separated by
// commas, percent-encoded where they have such characters themselves, or those
// that no file name has. A condition comes once, but for tag.
func ParseQuery(expr string) (glanceapi.Query, error) {
	var q glanceapi.Query
	seen := map[string]bool{}
	for _, term := range strings.Split(expr, ",") {
		key, value, ok := strings.Cut(term, "=")
		if !ok {
			return q, fmt.Errorf("%.80q is not of the form key=value: %w", term, iofs.ErrInvalid)
		}
		key, err := url.PathUnescape(key)
		if err == nil {
			value, err = url.PathUnescape(value)
		}
		if err != nil {
			return q, fmt.Errorf("%.80q: %w: %w", term, err, iofs.ErrInvalid)
		}
		if text := key + value; !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return q, fmt.Errorf("%.80q is not a text of UTF-8: %w", term, iofs.ErrInvalid)
		}
		if seen[key] && key != "tag" {
			return q, fmt.Errorf("%.80s is given twice: %w", key, iofs.ErrInvalid)
		}
		seen[key] = true
		if err := setCondition(&q, key, value); err != nil {
			return q, err
		}
	}
	return q, nil
}

// setCondition adds one condition to q, or says how q sorts.
func setCondition(q *glanceapi.Query, key, value string) error {
	if name, ok := strings.CutPrefix(key, propertyPrefix); ok && name != "" {
		if q.Properties == nil {
			q.Properties = make(map[string]string)
		}
		q.Properties[name] = value
		return nil
	}
	var err error
	switch key {
	case "name":
		err = setText(&q.Name, value)
	case "status":
		err = setText(&q.Status, value)
	case "container_format":
		err = setText(&q.ContainerFormat, value)
	case "disk_format":
		err = setText(&q.DiskFormat, value)
	case "owner":
		err = setText(&q.Owner, value)
	case "tag":
		var tag string
		err = setText(&tag, value)
		q.Tags = append(q.Tags, tag)
	case "size_min":
		err = setSize(&q.SizeMin, value)
	case "size_max":
		err = setSize(&q.SizeMax, value)
	case "is_public":
		err = setBool(&q.Public, value)
	case "protected":
		err = setBool(&q.Protected, value)
	case "visibility":
		err = setOneOf(&q.Visibility, value, "public", "private", "shared", "community", "all")
	case "member_status":
		err = setOneOf(&q.MemberStatus, value, "pending", "accepted", "rejected", "all")
	case "sort_key":
		err = setOneOf(&q.Sort, value, glanceapi.SortKeys()...)
	case "sort_dir":
		var dir string
		err = setOneOf(&dir, value, "asc", "desc")
		q.Ascending = dir == "asc"
	case "limit":
		q.Limit, err = strconv.Atoi(value)
		if q.Limit < 1 {
			err = errBadValue
		}
	default:
		return noSuchKey(key)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be %.80q: %w", key, value, iofs.ErrInvalid)
	}
	return nil
}

// errBadValue is of a value that a key cannot have.
var errBadValue = fmt.Errorf("bad value: %w", iofs.ErrInvalid)

func setText(place *string, value string) error {
	if value == "" {
		return errBadValue
	}
	*place = value
	return nil
}

func setSize(place **int64, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return errBadValue
	}
	*place = &n
	return nil
}

func setBool(place **bool, value string) error {
	b, err := strconv.ParseBool(value)
	*place = &b
	return err
}

func setOneOf(place *string, value string, all ...string) error {
	if !slices.Contains(all, value) {
		return errBadValue
	}
	*place = value
	return nil
}
