package glanceapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

var errNoObject = errors.New("not a JSON object")

// eachField calls each with the fields of a JSON object in order. In contrast
// to encoding/json's maps, keys keep bytes that are not UTF-8.
func eachField(doc []byte, each func(key string, value json.RawMessage)) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNoObject
	}
	for d.More() {
		from := d.InputOffset()
		if _, err := d.Token(); err != nil {
			return err
		}
		key := bytes.TrimLeft(doc[from:d.InputOffset()], ", \t\r\n")
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		each(unquote(key), value)
	}
	_, err := d.Token()
	return err
}

// isList tells a JSON array from any other value, and from none.
func isList(value json.RawMessage) bool { return len(value) > 0 && value[0] == '[' }

// eachElement calls each with the elements of a JSON array in order, until it
// returns an error. An element is overwritten by the next one.
func eachElement(array json.RawMessage, each func(json.RawMessage) error) error {
	if !isList(array) {
		return errNoArray
	}
	d := json.NewDecoder(bytes.NewReader(array))
	if _, err := d.Token(); err != nil {
		return err
	}
	var element json.RawMessage
	for d.More() {
		if err := d.Decode(&element); err != nil {
			return err
		}
		if err := each(element); err != nil {
			return err
		}
	}
	return nil
}

// unquote returns the value of a valid JSON string literal. Bytes that are not
// UTF-8, which old and broken services send in names, are kept as they are,
// where encoding/json puts U+FFFD for each. A lone surrogate escape, which
// stands for no bytes at all, is U+FFFD here too.
func unquote(literal []byte) string {
	in := literal[1 : len(literal)-1]
	if utf8.Valid(in) {
		return unquoteValid(in)
	}
	var out []byte
	for len(in) > 0 {
		good := validPrefix(in)
		out = append(out, unquoteValid(in[:good])...)
		in = in[good:]
		if len(in) > 0 {
			out, in = append(out, in[0]), in[1:]
		}
	}
	return string(out)
}

// validPrefix returns the length of the longest prefix of b that is UTF-8.
func validPrefix(b []byte) int {
	n := 0
	for n < len(b) {
		r, w := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && w == 1 {
			break
		}
		n += w
	}
	return n
}

// unquoteValid decodes the inside of a literal. Cutting at an invalid byte does
// not cut an escape: JSON allows only ASCII in one.
func unquoteValid(in []byte) string {
	if bytes.IndexByte(in, '\\') < 0 {
		return string(in)
	}
	quoted := make([]byte, 0, len(in)+2)
	quoted = append(append(append(quoted, '"'), in...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(in)
	}
	return s
}

// textOrJSON is a string's value, and any other value as compact JSON.
func textOrJSON(v json.RawMessage) string {
	if len(v) >= 2 && v[0] == '"' {
		return unquote(v)
	}
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return string(v)
	}
	return b.String()
}
