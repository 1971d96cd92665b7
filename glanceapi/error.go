package glanceapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoData is the service's word that an image has no bytes to give at
// present: it is queued, being filled, or its data was lost.
var ErrNoData = errors.New("the image has no data now")

// What a service says no to, where io/fs has no word for it.
var (
	// ErrTooLarge is a limit that data, or the number of images, members or
	// properties, would go past: a quota, or the most an image may have.
	ErrTooLarge = errors.New("over a limit of the image service")
	// ErrConflict is a state that does not allow the request, such as data for
	// an image that has some, or deleting an image that is in use.
	ErrConflict = errors.New("the image's state does not allow it")
	// ErrProtected is the deletion of a protected image. It is an
	// fs.ErrPermission.
	ErrProtected = fmt.Errorf("the image is protected: %w", fs.ErrPermission)
	// ErrStalled is an upload that has not moved for the Config's Timeout.
	ErrStalled = errors.New("the upload stands still")
)

// errSlow is the cause of a request given up for want of an answer.
var errSlow = errors.New("no answer in time")

// An Error is a request that failed, at the image service or at Keystone.
type Error struct {
	Op        string // method and path, or who was asked
	Status    int    // of the answer; 0 if there was none
	Message   string // the service's own words, one bounded line
	RequestID string // to find the request in the service's log
	Err       error  // what happened, where the answer does not say it

	means      error // what the status means, where that depends on the request
	temporary  bool
	retryAfter time.Duration
}

// Error reads like "GET /v2/images/ID: 404 Not Found: No image found (req-…)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Status != 0 {
		b.WriteString(": " + statusLine(e.Status))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(": " + plainAddresses(e.Err.Error()))
	}
	if e.RequestID != "" {
		b.WriteString(" (" + e.RequestID + ")")
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Temporary tells whether the same request may succeed later: the service was
// not reached, did not finish its answer, was overloaded or failed, or refused
// a token that Keystone had just issued.
func (e *Error) Temporary() bool { return e.temporary }

// Is matches the errors of io/fs and this package's by the status of the answer,
// which for a 409 means what was asked for: fs.ErrExist to the creation of an
// image, else ErrConflict. A refusal that
// is temporary is none: who may ask later is not forbidden to.
func (e *Error) Is(target error) bool {
	if e.means != nil {
		return errors.Is(e.means, target)
	}
	switch e.Status {
	case http.StatusNotFound, http.StatusGone:
		return target == fs.ErrNotExist
	case http.StatusUnauthorized, http.StatusForbidden:
		return target == fs.ErrPermission && !e.temporary
	case http.StatusConflict:
		return target == ErrConflict
	case http.StatusRequestEntityTooLarge:
		return target == ErrTooLarge
	case http.StatusMethodNotAllowed:
		return target == errors.ErrUnsupported
	case http.StatusBadRequest, http.StatusRequestedRangeNotSatisfiable, http.StatusUnsupportedMediaType:
		return target == fs.ErrInvalid
	}
	return false
}

// Temporary tells whether err, returned by a Client or by a stream it opened,
// may go away by itself. A context that ended does not.
func Temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.temporary
	}
	return false
}

// Unasked is that the service could not be asked, because of err: an account that
// cannot be read at present, say. It may be mended, so it is Temporary, and whatever
// err is it says nothing of what the service has.
func Unasked(err error) error {
	return &Error{Op: "the image service is not asked", Err: errors.New(err.Error()), temporary: true}
}

// Unauthorized tells whether err is that the account was not believed (401), which says
// nothing of what was asked for, and may be mended.
func Unauthorized(err error) bool {
	_, ok := refused(err, http.StatusUnauthorized)
	return ok
}

// refused returns err's answer if it has one of the statuses.
func refused(err error, statuses ...int) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e) && slices.Contains(statuses, e.Status)
	return e, ok
}

// invalid is a request that is refused here, before it is sent.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), fs.ErrInvalid)
}

// statusTemporary is the statuses that say "later".
func statusTemporary(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// causeTemporary tells whether a request that got no whole answer may get one
// later. A certificate that is not trusted stays so, and headers that are none.
func causeTemporary(err error) bool {
	var cert *tls.CertificateVerificationError
	var malformed textproto.ProtocolError
	return !errors.As(err, &cert) && !errors.As(err, &malformed)
}

// netError is a request that got no answer, or not all of one. ctx tells our
// own impatience from the caller's.
func netError(ctx context.Context, op, id string, err error) *Error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // u names the whole address and the method again
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	temporary := causeTemporary(err)
	if ctx.Err() != nil {
		// Only here: a host that eats packets is a context.DeadlineExceeded of net's.
		err = context.Cause(ctx)
		temporary = !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	return &Error{Op: op, RequestID: id, Err: err, temporary: temporary}
}

// unreachable reduces an error to what a user can act on: "connection refused"
// rather than the system calls that led there.
func unreachable(err error) error {
	var errno syscall.Errno
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect": // as net/http calls it
		return fmt.Errorf("the proxy that the environment names: %w", unreachable(op.Err))
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &dns) && dns.IsNotFound:
		return errors.New("no such host")
	}
	return err
}

// statusLine reads like "404 Not Found".
func statusLine(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}
