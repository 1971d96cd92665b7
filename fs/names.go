package fs

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"glancefs/glanceapi"
)

// nameMax is the longest file name Linux takes, in bytes (NAME_MAX).
const nameMax = 255

// What tells an image apart at the end of a by-name entry: ids are UUIDs on every
// service with the v2 API, and may be integers on those of 2011.
var (
	uuidSuffix   = regexp.MustCompile(`^(.*)@([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$`)
	numberSuffix = regexp.MustCompile(`^(.*)@([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9]+)$`)
)

// idSuffix is what tells an image of the service apart.
func (t *tree) idSuffix() *regexp.Regexp {
	if t.service.Version() == "v1" {
		return numberSuffix
	}
	return uuidSuffix
}

// escapeName returns name as one path component: "/", "%", control bytes and
// bytes that are not UTF-8 become %XX, and so do the dots of "." and "..".
// It is injective; the result may be empty or too long for a file name.
func escapeName(name string) string {
	if name == "." || name == ".." {
		return strings.Repeat("%2E", len(name))
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if c := name[i]; r == utf8.RuneError && n == 1 || c < ' ' || c == 0x7f || c == '/' || c == '%' {
			b.WriteString(escapeByte(c))
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}

func escapeByte(c byte) string {
	const hex = "0123456789ABCDEF"
	return string([]byte{'%', hex[c>>4], hex[c&15]})
}

// unescapeName undoes escapeName. ok is false for anything escapeName would
// not have written, so that every image has one spelling only.
func unescapeName(entry string) (name string, ok bool) {
	var b []byte
	for i := 0; i < len(entry); i++ {
		if entry[i] != '%' {
			b = append(b, entry[i])
			continue
		}
		if i+2 >= len(entry) {
			return "", false
		}
		hi, lo := strings.IndexByte("0123456789ABCDEF", entry[i+1]), strings.IndexByte("0123456789ABCDEF", entry[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), escapeName(string(b)) == entry
}

// plainEntry returns the by-name entry of a name that only one image has. ok
// is false when there is none and the image has a uniqueEntry only: the name
// is empty, too long, or reads like another image's uniqueEntry, with such an
// idSuffix.
func plainEntry(name string, suffix *regexp.Regexp) (entry string, ok bool) {
	entry = escapeName(name)
	return entry, entry != "" && len(entry) <= nameMax && !suffix.MatchString(entry)
}

// uniqueEntry returns the by-name entry NAME@ID, which every image has; NAME
// is cut at a character where it would be too long for a file name.
func uniqueEntry(img glanceapi.Image) string {
	return cut(escapeName(img.Name), nameMax-len(img.ID)-1) + "@" + img.ID
}

// cut shortens an escaped name to at most n bytes, at a character.
func cut(entry string, n int) string {
	if len(entry) <= n {
		return entry
	}
	for n > 0 && !utf8.RuneStart(entry[n]) {
		n--
	}
	for i := max(0, n-2); i < n; i++ {
		if entry[i] == '%' {
			return entry[:i]
		}
	}
	return entry[:n]
}

// splitUnique returns the id of an entry of the form NAME@ID, with such an
// idSuffix.
func splitUnique(entry string, suffix *regexp.Regexp) (id string, ok bool) {
	m := suffix.FindStringSubmatch(entry)
	if m == nil {
		return "", false
	}
	return m[2], true
}
