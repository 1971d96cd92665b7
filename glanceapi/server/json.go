package server

import (
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// An object is a JSON object being written, its keys in the order they are
// given and spaced as Python does it. Unlike encoding/json it passes bytes
// that are not UTF-8 on as they are: some databases hold such names, and some
// servers send them.
type object []byte

func (o *object) key(k string) {
	if len(*o) == 0 {
		*o = append(*o, '{')
	} else {
		*o = append(*o, ", "...)
	}
	*o = append(appendString(*o, k), ": "...)
}

func (o *object) raw(k string, v []byte) *object {
	o.key(k)
	*o = append(*o, v...)
	return o
}

func (o *object) str(k, v string) *object {
	o.key(k)
	*o = appendString(*o, v)
	return o
}

// null writes v, or null where v is "".
func (o *object) null(k, v string) *object {
	if v == "" {
		return o.raw(k, []byte("null"))
	}
	return o.str(k, v)
}

func (o *object) int(k string, v int64) *object {
	return o.raw(k, strconv.AppendInt(nil, v, 10))
}

func (o *object) bool(k string, v bool) *object {
	return o.raw(k, strconv.AppendBool(nil, v))
}

func (o *object) size(k string, v *int64) *object {
	if v == nil {
		return o.raw(k, []byte("null"))
	}
	return o.int(k, *v)
}

func (o *object) bytes() []byte {
	if len(*o) == 0 {
		return []byte("{}")
	}
	return append(*o, '}')
}

// An array is the elements of a JSON array, each of them encoded.
type array [][]byte

func (a array) bytes() []byte {
	b := []byte{'['}
	for i, e := range a {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, e...)
	}
	return append(b, ']')
}

func stringArray(ss []string) []byte {
	a := make(array, len(ss))
	for i, s := range ss {
		a[i] = appendString(nil, s)
	}
	return a.bytes()
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, s[i])
		} else {
			b = appendRune(b, r)
		}
		i += n
	}
	return append(b, '"')
}

func appendRune(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r == '\n':
		return append(b, `\n`...)
	case r == '\r':
		return append(b, `\r`...)
	case r == '\t':
		return append(b, `\t`...)
	case r < 0x20:
		return fmt.Appendf(b, `\u%04x`, r)
	}
	return utf8.AppendRune(b, r)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// writeEmpty answers that something was done, with nothing to show for it.
func writeEmpty(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(http.StatusNoContent)
}
