package glanceapi

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoData is the service's word that an image has no bytes to give at
// present: it is queued, being filled, or its data was lost.
var ErrNoData = errors.New("the image has no data now")

// errSlow is the cause of a request given up for want of an answer.
var errSlow = errors.New("no answer in time")

// An Error is a request that failed, at the image service or at Keystone.
type Error struct {
	Op        string // method and path, or who was asked
	Status    int    // of the answer; 0 if there was none
	Message   string // the service's own words, one bounded line
	RequestID string // to find the request in the service's log
	Err       error  // what happened, where the answer does not say it

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
		b.WriteString(": " + e.Err.Error())
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

// Is matches the errors of io/fs by the status of the answer. A refusal that
// is temporary is none: who may ask later is not forbidden to.
func (e *Error) Is(target error) bool {
	switch e.Status {
	case http.StatusNotFound, http.StatusGone:
		return target == fs.ErrNotExist
	case http.StatusUnauthorized, http.StatusForbidden:
		return target == fs.ErrPermission && !e.temporary
	case http.StatusConflict:
		return target == fs.ErrExist
	case http.StatusBadRequest, http.StatusRequestedRangeNotSatisfiable:
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

// statusTemporary is the statuses that say "later".
func statusTemporary(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// causeTemporary tells whether a request that got no whole answer may get one
// later. A certificate that is not trusted stays so.
func causeTemporary(err error) bool {
	var cert *tls.CertificateVerificationError
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &cert)
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
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &Error{Op: op, RequestID: id, Err: err, temporary: causeTemporary(err)}
}

// unreachable reduces an error to what a user can act on: "connection refused"
// rather than the system calls that led there.
func unreachable(err error) error {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
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
