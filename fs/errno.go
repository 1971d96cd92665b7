package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/glanceapi"
)

// What a user can do wrong, or meet, that the io/fs errors have no word for.
var (
	errAmbiguous   = errors.New("several images have this name")
	errBusy        = errors.New("image data is being uploaded")
	errRescued     = errors.New("the image is gone, or has other data; what was written for it is in incoming/")
	errOvertaken   = errors.New("another program has written to it meanwhile")
	errNoData      = errors.New("image has no data")
	errNoSize      = errors.New("the service does not say how many bytes the image has")
	errReadOnly    = errors.New("not changeable")
	errNoAttr      = errors.New("no such attribute")
	errNameTooLong = errors.New("name longer than 255 bytes")
	errTooMany     = errors.New("as many files as editors may have")
	errTooLong     = errors.New("longer than a text may be")
	errLimited     = errors.New("its writer may make no file longer than it is (ulimit -f), so something may be missing")
	errBeyond      = errors.New("nothing is there or behind")
)

// What programs know what to do with, and so is neither logged nor kept as a reason.
const (
	errnoUnsupported = syscall.ENOTSUP
	errnoExists      = syscall.EEXIST
	errnoRange       = syscall.ERANGE
)

// What the kernel is told of requests that no node is asked.
const (
	statusLost     = fuse.Status(syscall.ESTALE)
	statusExists   = fuse.Status(syscall.EEXIST)
	statusNotExist = fuse.Status(syscall.ENOENT)
	statusNoAttr   = fuse.Status(syscall.ENODATA)
)

// A toldError is one that has been turned into an errno, and logged, already.
type toldError struct {
	error
	errno syscall.Errno
}

func (e *toldError) Unwrap() error { return e.error }

// errnos says which error a user sees; the first that matches counts.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{context.Canceled, syscall.EINTR},
	{glanceapi.ErrProtected, syscall.EPERM},
	{errAmbiguous, syscall.ENOTUNIQ},
	{errBusy, syscall.EBUSY},
	{errRescued, syscall.EBUSY},
	{errOvertaken, syscall.EBUSY},
	{errNoData, syscall.ENODATA},
	{glanceapi.ErrNoData, syscall.ENODATA},
	{errNoAttr, syscall.ENODATA},
	{errReadOnly, syscall.EPERM},
	{errNameTooLong, syscall.ENAMETOOLONG},
	{errTooMany, syscall.ENOSPC},
	{errTooLong, syscall.EFBIG},
	{errLimited, syscall.EFBIG},
	{errBeyond, syscall.ENXIO},
	{errDiscarded, syscall.ECANCELED},
	{errStopped, syscall.ECANCELED},
	{errLost, syscall.ESTALE},
	{glanceapi.ErrConflict, syscall.EBUSY},
	{glanceapi.ErrTooLarge, syscall.EDQUOT},
	{glanceapi.ErrStalled, syscall.ETIMEDOUT},
	{syscall.ENOSPC, syscall.ENOSPC},
	{syscall.EDQUOT, syscall.EDQUOT},
	{syscall.EFBIG, syscall.EFBIG},
	{syscall.ENXIO, syscall.ENXIO},
	{iofs.ErrNotExist, syscall.ENOENT},
	{iofs.ErrPermission, syscall.EACCES},
	{iofs.ErrExist, syscall.EEXIST},
	{iofs.ErrInvalid, syscall.EINVAL},
	{errors.ErrUnsupported, syscall.ENOTSUP},
}

// ofTheDisk is an err of the disk under incoming/. That something is not there, or not
// allowed, is nothing that the mount has to say of what it shows.
func ofTheDisk(err error) error {
	if isOneOf(err, iofs.ErrNotExist, iofs.ErrPermission) {
		return errors.New(err.Error())
	}
	return err
}

// isOneOf reports whether err is any of several.
func isOneOf(err error, several ...error) bool {
	return slices.ContainsFunc(several, func(one error) bool { return errors.Is(err, one) })
}

// errnoOf returns what a user sees of err, unless that is EIO.
func errnoOf(err error) (syscall.Errno, bool) {
	var told *toldError
	if errors.As(err, &told) {
		return told.errno, true
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.errno, true
		}
	}
	return syscall.EIO, false
}

// errno turns err into what the caller of doing sees. What has no errno of its
// own is EIO, and logged, because EIO alone says nothing.
func (t *tree) errno(doing string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errnoOf(err); ok {
		return errno
	}
	last := t.lastError.Swap(&failure{doing, err.Error(), time.Now()})
	level := slog.LevelError
	if last != nil && last.reason == err.Error() && time.Since(last.at) < sameEvery {
		level = slog.LevelDebug
	}
	t.log.Log(context.Background(), level, doing, "err", err)
	return syscall.EIO
}

// sameEvery is how often the same error is worth a line in the log: while the
// service is down every read of a busy guest fails with it.
const sameEvery = 10 * time.Second
