package glanceapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/textproto"
	"strings"
	"sync/atomic"
)

// v1 is the dialect of Images API v1, spoken from 2011 to 2018. Releases differ
// much in it; what is sent is what all of them understand. The service can never
// send a part of an image. See the comments on single calls for what is worked
// around.
type v1 struct {
	*conn
	prefix string // of paths: /v1, or "" for the two releases of 2011 without versions
	// longest is the greatest number of images in a page so far. A shorter page
	// is the last one, whatever limit the service is set to.
	longest *atomic.Int64
	// uuids is set once it is known that the service is of 2012 or later.
	uuids *atomic.Bool
}

func newV1(c *conn, prefix string) v1 {
	return v1{conn: c, prefix: prefix, longest: new(atomic.Int64), uuids: new(atomic.Bool)}
}

func (v v1) version() string { return "v1" }

// old tells of the first two releases. They have no query, no members, no
// tenants and no text but ASCII.
func (v v1) old() bool { return v.prefix == "" }

func (v v1) takesUUIDs() bool { return v.uuids.Load() }

// learn takes from a record what it tells of the release, and returns it.
func (v v1) learn(r recordV1) recordV1 {
	if r.keeps {
		v.uuids.Store(true)
	}
	return r
}

func (v v1) path(id string) string { return v.prefix + "/images/" + id }

func (v v1) data(id string) (string, bool) { return v.path(id), false }

// others goes by the headers: every release sends the image's record with its data.
func (v v1) others(resp *http.Response, id string) string {
	if !strings.EqualFold(resp.Header.Get(idHeader), id) { // databases that know no case find either
		return "something else comes instead of the data of the image"
	}
	return ""
}

func (v v1) check(ctx context.Context) error { return v.lists(ctx, v.prefix+"/images?limit=1") }

// image takes a deleted image, which releases from 2012 on still show to
// administrators, for what it is to everybody else.
func (v v1) image(ctx context.Context, id string) (Image, error) {
	r, err := v.record(ctx, id)
	if err == nil && r.deleted {
		return Image{}, fmt.Errorf("image %s is deleted: %w", id, fs.ErrNotExist)
	}
	return v.shown(r), err
}

// shown is the image of a record. Listings have no killed ones from Diablo on, but
// listings of changes do.
func (v v1) shown(r recordV1) Image {
	r.Hidden = r.Status == "killed" && !v.old()
	return r.Image
}

// A recordV1 is an image with what only v1 has to know of it.
type recordV1 struct {
	Image
	typed   bool // it is of the first release, which has a type and no formats
	keeps   bool // it is of a release, from 2012 on, that has UUIDs, and can keep properties it is not sent
	deleted bool
}

// head asks for the headers of one image. 500 is final: what crashes once
// crashes always.
func (v v1) head(ctx context.Context, id string) (http.Header, error) {
	cl := call{kind: &v.count.metadata, method: http.MethodHead, path: v.path(id), ok: []int{http.StatusOK}}
	return retry(ctx, patience{total: v.timeout, again: v.timeout}, &v.count.retries, func(ctx context.Context) (http.Header, error) {
		_, h, err := v.exchange(ctx, cl)
		if e, ok := refused(err, http.StatusInternalServerError); ok {
			e.temporary = false
		}
		if err == nil && h.Get(idHeader) == "" {
			err = &Error{Op: "HEAD " + cl.path, Message: "no image comes in the headers of the answer"}
		}
		return h, err
	})
}

// record reads the headers of one image. Releases before autumn 2012 fail with
// 500 if there is text in them that is not ASCII, and v2 can give an image names
// that no client can read as headers; the list, as JSON, has them all.
func (v v1) record(ctx context.Context, id string) (recordV1, error) {
	h, err := v.head(ctx, id)
	if err == nil {
		return v.learn(decodeHeaderV1(h, id, v.old())), nil
	}
	var malformed textproto.ProtocolError
	if _, crashed := refused(err, http.StatusInternalServerError); !crashed && !errors.As(err, &malformed) {
		return recordV1{}, err
	}
	r, found, lerr := v.find(ctx, id)
	switch {
	case lerr != nil:
		return recordV1{}, lerr
	case !found:
		return recordV1{}, err
	}
	return r, nil
}

// find looks for an image in the whole list.
func (v v1) find(ctx context.Context, id string) (r recordV1, found bool, err error) {
	marker, trail := "", newTrail()
	for {
		page, _, next, err := v.records(ctx, Query{}, marker)
		if err != nil {
			return recordV1{}, false, err
		}
		weight := 0
		for _, r := range page {
			if r.ID == id {
				return r, true, nil
			}
			weight += r.weight()
		}
		if next == "" {
			return recordV1{}, false, nil
		}
		if err := trail.add(weight, next); err != nil {
			return recordV1{}, false, err
		}
		marker = next
	}
}

// plain says what the service meant that answered with an exception, which in
// the first releases is often how something is refused.
func plain(err error, meant error) error {
	if e, ok := refused(err, http.StatusInternalServerError); ok && !e.temporary {
		e.means = meant
	}
	return err
}

// unsupported is what v1 has no way to say.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("%s, which v1 does not have: %w", fmt.Sprintf(format, args...), errors.ErrUnsupported)
}

// exists turns the answer "not found" into a refusal if the image is there all
// the same: it is how v1 tells those off who may only read.
func (v v1) exists(ctx context.Context, id string, err error) error {
	e, ok := refused(err, http.StatusNotFound)
	if !ok {
		return err
	}
	if _, ierr := v.image(ctx, id); ierr == nil {
		e.means = fs.ErrPermission
	}
	return err
}
