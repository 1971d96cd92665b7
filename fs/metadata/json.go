// Package metadata is how images, their members, and what is asked for of them are
// written as text: meta.json and its keys, extended attributes, and the names of
// queries. It reads strictly: what it does not take is io/fs.ErrInvalid, and says why.
// It knows nothing of files and sends nothing.
package metadata

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"unicode/utf8"
)

// MaxText bounds, in bytes, what is read or written of one file of JSON: a
// hundred times what an image with all its properties has.
const MaxText = 1 << 20

// Encode is how all JSON of the tree is written: two spaces of indent, one
// newline at the end, and no escapes that only HTML needs.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// decodeJSON reads what somebody has written. Its errors are io/fs.ErrInvalid
// and say where the text is wrong.
func decodeJSON(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case len(b) > MaxText:
		return fmt.Errorf("more than %d bytes: %w", MaxText, iofs.ErrInvalid)
	case !utf8.Valid(b):
		return fmt.Errorf("%s: not UTF-8: %w", position(b, validUpTo(b)), iofs.ErrInvalid)
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: no JSON: %w: %w", position(b, int(syntax.Offset)-1), err, iofs.ErrInvalid)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("a JSON %s is not what belongs here: %w", kind.Value, iofs.ErrInvalid)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: %s cannot be a %s: %w", position(b, int(kind.Offset)-1), kind.Field, kind.Value, iofs.ErrInvalid)
	case err != nil:
		return fmt.Errorf("no JSON: %w: %w", err, iofs.ErrInvalid)
	}
	return nil
}

// validUpTo returns how many bytes of b are UTF-8.
func validUpTo(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// position reads like "line 3, column 5", for the byte at off.
func position(b []byte, off int) string {
	before := b[:max(0, min(off, len(b)))]
	line := bytes.LastIndexByte(before, '\n') + 1
	return fmt.Sprintf("line %d, column %d", bytes.Count(before, []byte("\n"))+1, utf8.RuneCount(before[line:])+1)
}

// Parse reads a JSON Parse of metadata, of which any key may be missing.
func Parse(b []byte) (Document, error) {
	var keys Document
	if err := decodeJSON(b, &keys); err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, fmt.Errorf("null is not what belongs here: %w", iofs.ErrInvalid)
	}
	return keys, nil
}

// noSuchKey and notThat refuse a key, and a value of one.
func noSuchKey(key string) error {
	return fmt.Errorf("no key is called %.80q: %w", key, iofs.ErrInvalid)
}

func notThat(key string, value json.RawMessage) error {
	return fmt.Errorf("%s cannot be %.80s: %w", key, value, iofs.ErrInvalid)
}

// notText refuses an attribute, which JSON could hold only as another one.
func notText(key string) error {
	return fmt.Errorf("attribute %.80q is not UTF-8: %w", key, iofs.ErrInvalid)
}
