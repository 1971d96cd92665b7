package glanceapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
)

const (
	// pageSizeV1 is the most a service gives at once, as it is set up usually.
	pageSizeV1 = 1000
	// maxLine is room for filters in a request line, of which some servers take
	// 8192 bytes.
	maxLine = 7000
)

// sorts tells of the columns that a service sorts by without losing images: the
// releases of 2011 and 2012 leave those out of later pages in which the column
// is null. The first two do not sort at all.
func (v v1) sorts(q Query) bool {
	return !v.old() && slices.Contains([]string{"", "created_at", "id", "status", "size"}, q.Sort)
}

// page checks what v1 has no way to select by.
func (v v1) page(ctx context.Context, q Query, marker string) (Page, string, error) {
	if q.MemberStatus != "" {
		return Page{}, "", unsupported("a member status")
	}
	records, h, next, err := v.records(ctx, q, marker)
	if err != nil {
		return Page{}, "", err
	}
	p := Page{Images: make([]Image, 0, len(records))}
	p.Date, _ = http.ParseTime(h.Get("Date")) // the zero time if there is none
	for _, r := range records {
		if !r.deleted { // which a listing of changes has too
			p.Images = append(p.Images, v.shown(r))
		}
	}
	return p, next, nil
}

// records is one page of the detailed list. There is no word in it of whether it
// is the last: that is told by a page that is empty, shorter than another was, or
// has the marker in it, which shows that the service does not know markers.
func (v v1) records(ctx context.Context, q Query, marker string) (all []recordV1, h http.Header, next string, err error) {
	path := v.prefix + "/images/detail"
	b, h, err := v.document(ctx, path+v.query(q, marker))
	if err != nil {
		if e, ok := refused(err, http.StatusInternalServerError); ok && marker != "" && !e.temporary {
			return nil, nil, "", fmt.Errorf("%w: %w", errMarkerLost, err)
		}
		return nil, nil, "", markerError(err, marker)
	}
	var doc struct {
		Images json.RawMessage `json:"images"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, nil, "", unreadable(path, err)
	}
	var n int
	if all, n, err = decodeList(v.conn, doc.Images, decodeRecordV1); err != nil {
		return nil, nil, "", unreadable(path, err)
	}
	if len(all) > 0 {
		v.learn(all[0])
	}
	if marker != "" && slices.ContainsFunc(all, func(r recordV1) bool { return r.ID == marker }) {
		return nil, h, "", nil
	}
	if next, err = v.after(all, n, v.limit(q)); err != nil {
		return nil, nil, "", unreadable(path, err)
	}
	return all, h, next, nil
}

// limit is how many images to ask for at once: no more than are wanted, if all
// that come are.
func (v v1) limit(q Query) int {
	if q.Limit > 0 && v.sorts(q) && reflect.DeepEqual(q, Query{Sort: q.Sort, Ascending: q.Ascending, Limit: q.Limit}) {
		return min(q.Limit, pageSizeV1)
	}
	return pageSizeV1
}

// after is the marker of the page after this one, which came as sent images, readable
// or not, of those asked for.
func (v v1) after(page []recordV1, sent, asked int) (string, error) {
	n := int64(sent)
	longest := v.longest.Load()
	for n > longest && !v.longest.CompareAndSwap(longest, n) {
		longest = v.longest.Load()
	}
	if v.old() || len(page) == 0 || n < min(longest, int64(asked)) {
		return "", nil
	}
	return markerOf(len(page), func(i int) string { return page[i].ID })
}

// query writes the parameters of a listing: of the conditions those that every
// release takes or ignores. The first two ignore all.
func (v v1) query(q Query, marker string) string {
	if v.old() {
		return ""
	}
	p := url.Values{"limit": {strconv.Itoa(v.limit(q))}, "sort_key": {"created_at"}, "sort_dir": {"desc"}}
	if marker != "" {
		p.Set("marker", marker)
	}
	if v.sorts(q) {
		if q.Sort != "" {
			p.Set("sort_key", q.Sort)
		}
		if q.Ascending {
			p.Set("sort_dir", "asc")
		}
	}
	line := "?" + p.Encode()
	if c := conditionsV1(q).Encode(); len(line)+len(c) < maxLine {
		line += "&" + c
	}
	return line
}

// conditionsV1 asks an administrator's listing for private images too, like
// anybody else's. Text that is not ASCII is left out: Diablo and Essex fail.
func conditionsV1(q Query) url.Values {
	p := url.Values{"is_public": {"None"}}
	switch {
	case q.Public != nil && *q.Public || q.Visibility == "public":
		p.Set("is_public", "True")
	case q.Public != nil || q.Visibility == "private":
		p.Set("is_public", "False")
	}
	for key, value := range map[string]string{
		"name": q.Name, "status": q.Status, "container_format": q.ContainerFormat, "disk_format": q.DiskFormat,
	} {
		if value != "" && isASCII(value) {
			p.Set(key, value)
		}
	}
	for key, value := range q.Properties {
		if isASCII(key) && isASCII(value) {
			p.Set("property-"+key, value)
		}
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
	if !q.UpdatedSince.IsZero() {
		p.Set("changes-since", q.UpdatedSince.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return p
}
