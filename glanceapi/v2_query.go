package glanceapi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// sorts is true: v2 has always sorted, by every key of a Query.
func (v v2) sorts(Query) bool { return true }

// queryV2 writes q as the parameters of a listing. A page is no longer than the
// images wanted, if none of them can be sorted out here afterwards.
func queryV2(q Query, marker string) url.Values {
	p := url.Values{}
	for _, f := range []struct{ key, value string }{
		{"name", q.Name}, {"status", q.Status}, {"container_format", q.ContainerFormat}, {"disk_format", q.DiskFormat},
	} {
		if f.value != "" {
			p.Set(f.key, "eq:"+f.value) // without eq: a colon makes an operator of what is before it
		}
	}
	for key, value := range map[string]string{"owner": q.Owner, "visibility": q.Visibility, "member_status": q.MemberStatus, "marker": marker} {
		if value != "" {
			p.Set(key, value)
		}
	}
	if q.MemberStatus != "" && q.Visibility == "" {
		p.Set("visibility", "shared")
	}
	if q.SizeMin != nil {
		p.Set("size_min", strconv.FormatInt(*q.SizeMin, 10))
	}
	if q.SizeMax != nil {
		p.Set("size_max", strconv.FormatInt(*q.SizeMax, 10))
	}
	if q.Protected != nil {
		p.Set("protected", strconv.FormatBool(*q.Protected))
	}
	if len(q.Tags) > 0 {
		p["tag"] = slices.Clone(q.Tags)
	}
	if !q.UpdatedSince.IsZero() {
		p.Set("updated_at", "gte:"+q.UpdatedSince.UTC().Format("2006-01-02T15:04:05Z"))
	}
	whole := conditionsV2(q, p)
	size := pageSize
	if whole && q.Limit > 0 {
		size = min(size, q.Limit)
	}
	p.Set("limit", strconv.Itoa(size))
	sortV2(q, p)
	return p
}

// conditionsV2 adds what v2 has no parameter for by another way, and tells
// whether the service then does all the selecting.
func conditionsV2(q Query, p url.Values) (whole bool) {
	whole = true
	if q.Public != nil {
		if *q.Public && q.Visibility == "" {
			p.Set("visibility", "public")
		} else {
			whole = false
		}
	}
	for key, value := range q.Properties {
		if reservedV2(key) || p.Has(key) {
			whole = false
			continue
		}
		p.Set(key, value)
	}
	return whole
}

// reservedV2 reports whether a parameter with the name of a property would mean
// something else.
func reservedV2(key string) bool {
	return isFieldV2(key) || strings.HasSuffix(key, "_min") || strings.HasSuffix(key, "_max") ||
		slices.Contains([]string{"", "limit", "marker", "sort", "sort_key", "sort_dir", "tag", "member_status", "deleted", "changes-since", "changes_since"}, key)
}

func sortV2(q Query, p url.Values) {
	dir := ":desc"
	if q.Ascending {
		dir = ":asc"
	}
	switch {
	case q.Sort != "":
		p.Set("sort", q.Sort+dir)
	case q.Ascending:
		p.Set("sort", "created_at:asc")
	}
}
