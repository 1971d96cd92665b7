package glanceapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// What a service can make a client keep in memory, in bytes. A service that means
// well comes nowhere near.
const (
	// maxRecord bounds one image's record, as text and in memory. One with all
	// the properties that a service allows is some 100 kB.
	maxRecord = 1 << 20
	// maxPage bounds the images of one answer. The releases of 2011, which send
	// all they have at once, get 100,000 images through.
	maxPage = 64 << 20
	// maxListing bounds the images of a whole listing: some 500,000.
	maxListing = 1 << 30
)

var (
	errBigRecord = fmt.Errorf("more than %d MiB", maxRecord>>20)
	errBigPage   = fmt.Errorf("more images in one answer than fit in %d MiB", maxPage>>20)
	errNoArray   = errors.New("no list in the answer")
)

// weight is about what an image takes in memory, in bytes.
func (i Image) weight() int {
	n := 512
	for _, s := range []string{
		i.ID, i.Name, i.Status, i.Visibility, i.Owner, i.DiskFormat, i.ContainerFormat, i.Checksum, i.HashAlgo, i.HashValue,
	} {
		n += len(s)
	}
	for _, t := range i.Tags {
		n += 16 + len(t)
	}
	for k, v := range i.Properties {
		n += 64 + len(k) + len(v)
	}
	return n
}

func (m Member) weight() int { return 64 + len(m.ID) + len(m.Status) }

func (i MemberImage) weight() int { return 64 + len(i.ID) }

func (p Page) weight() int {
	n := 0
	for _, i := range p.Images {
		n += i.weight()
	}
	return n
}

// decodeList decodes the elements of a JSON array, of which there are n. Those that
// cannot be decoded, or are too large, are left out, with one warning: the others are
// not to be hidden by them.
func decodeList[T interface{ weight() int }](c *conn, array json.RawMessage, decode func([]byte) (T, error)) (all []T, n int, err error) {
	var first error
	left, total := 0, 0
	err = eachElement(array, func(raw json.RawMessage) error {
		n++
		v, err := decodeRecord(raw, decode)
		if err != nil {
			if left++; left == 1 {
				first = err
			}
			return nil
		}
		if total += v.weight(); total > maxPage {
			return errBigPage
		}
		all = append(all, v)
		return nil
	})
	if left > 0 {
		c.log.Warn("records that cannot be read left out of a list", "count", left, "first", first)
	}
	return all, n, err
}

// fetchList fetches the list that a JSON document has under key.
func fetchList[T interface{ weight() int }](ctx context.Context, c *conn, path, key string, decode func([]byte) (T, error)) ([]T, error) {
	b, _, err := c.document(ctx, path)
	if err != nil {
		return nil, err
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, unreadable(path, err)
	}
	all, _, err := decodeList(c, doc[key], decode)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return all, nil
}

// decodeRecord decodes one record, unless it is too large.
func decodeRecord[T interface{ weight() int }](raw []byte, decode func([]byte) (T, error)) (T, error) {
	var none T
	if len(raw) > maxRecord {
		return none, errBigRecord
	}
	v, err := decode(raw)
	if err == nil && v.weight() > maxRecord {
		return none, errBigRecord
	}
	return v, err
}

// A trail is the pages of a walk so far. It finds the walks that would not end.
type trail struct {
	seen   map[string]bool // markers
	weight int
}

func newTrail() *trail { return &trail{seen: make(map[string]bool)} }

// add takes in a page that weighs so much, with the marker of the next one.
func (t *trail) add(weight int, next string) error {
	t.weight += weight
	switch {
	case t.weight > maxListing:
		return &Error{Op: "listing images", Message: fmt.Sprintf("given up: the service lists more images than fit in %d GiB", maxListing>>30)}
	case t.seen[next]:
		return &Error{Op: "listing images", Message: fmt.Sprintf("the service repeats itself after image %.80q", next)}
	}
	t.seen[next] = true
	return nil
}

// markerOf is the id that the page after a list of n starts behind: the last one
// there is.
func markerOf(n int, id func(int) string) (string, error) {
	for i := n - 1; i >= 0; i-- {
		if id := id(i); id != "" {
			return id, nil
		}
	}
	return "", errors.New("a page without an id has no next one")
}
