package server

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// A span is the bytes of an image that an answer has.
type span struct {
	off, n int64
	part   bool // asked for with a Range header
}

// contentRange is the span as a header. Of an empty image it is the invalid
// "bytes 0--1/0", as from Glance.
func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.off, s.off+s.n-1, size)
}

// rangePattern is what Glance makes of a Range header: whatever follows the
// first range does not count.
var rangePattern = regexp.MustCompile(`^(?i:bytes) *= *([0-9]*) *- *([0-9]*)`)

// parseRange reads a Range header for an image of that size; "" is all of
// it. Unlike RFC 9110 says, a header that is not understood gives 416, more
// than one range 400, and "bytes=-0" everything. A range of an image whose
// size is not known, and one without numbers, make Glance crash: errCrash.
func parseRange(header string, size *int64) (span, error) {
	if header == "" {
		if size == nil {
			return span{}, nil
		}
		return span{n: *size}, nil
	}
	if strings.Contains(header, ",") {
		return span{}, badRequest("Requests with multiple ranges are not supported in Glance. You may make multiple single-range requests instead.")
	}
	m := rangePattern.FindStringSubmatch(header)
	if m == nil {
		return span{}, badRange("Invalid Range header.")
	}
	first, last := m[1], m[2]
	off, stop := parseOffset(first), parseOffset(last)
	switch {
	case first != "" && last != "" && stop < off:
		return span{}, badRange("Invalid Range header.")
	case size == nil || first == "" && last == "":
		return span{}, errCrash
	case first == "" && stop > 0:
		n := min(stop, *size)
		return span{off: *size - n, n: n, part: true}, nil
	case off >= *size:
		return span{}, badRange("Invalid start position in Range header. Start position MUST be in the inclusive range [0, %d].", *size-1)
	case first == "" || last == "":
		return span{off: off, n: *size - off, part: true}, nil
	}
	return span{off: off, n: min(stop, *size-1) - off + 1, part: true}, nil
}

var errCrash = errors.New("range that makes Glance crash")

// parseOffset reads digits; too many of them are a large number, none is 0.
func parseOffset(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt64
	}
	return n
}

func badRange(format string, args ...any) *problem {
	return newProblem(http.StatusRequestedRangeNotSatisfiable, "The Range requested is not available.").
		withDetail(format, args...)
}
