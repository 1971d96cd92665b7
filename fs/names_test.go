package fs

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"glancefs/glanceapi"
)

const someID = "11111111-1111-4111-8111-111111111111"

func TestEscapeName(t *testing.T) {
	for name, want := range map[string]string{
		"plain":                 "plain",
		"a/b":                   "a%2Fb",
		".":                     "%2E",
		"..":                    "%2E%2E",
		"...":                   "...",
		"100%":                  "100%25",
		"x\ny\x00z\x7f":         "x%0Ay%00z%7F",
		"bad\xff\xc3":           "bad%FF%C3",
		"語 and space":           "語 and space",
		"real\ufffdreplacement": "real\ufffdreplacement",
	} {
		if got := escapeName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for _, entry := range []string{"a%2fb", "%41", "%", "%2", "%zz", ".", "..", "a\xff", "a\nb"} {
		if name, ok := unescapeName(entry); ok {
			t.Errorf("%q is taken for %q, which is spelled %q", entry, name, escapeName(name))
		}
	}
}

func TestEntries(t *testing.T) {
	long := strings.Repeat("語", 100)
	for _, c := range []struct{ name, plain, unique string }{
		{"web", "web", "web@" + someID},
		{"", "", "@" + someID},
		{long, "", strings.Repeat("語", 72) + "@" + someID},
		{strings.Repeat("/", 100), "", strings.Repeat("%2F", 72) + "@" + someID},
		{"web@" + someID, "", "web@" + someID + "@" + someID},
		{"user@7", "", "user@7@" + someID},
		{"web@prod", "web@prod", "web@prod@" + someID},
	} {
		plain, ok := plainEntry(c.name, numberSuffix)
		if !ok {
			plain = ""
		}
		unique := uniqueEntry(glanceapi.Image{ID: someID, Name: c.name})
		if plain != c.plain || unique != c.unique {
			t.Errorf("%q: %q and %q, want %q and %q", c.name, plain, unique, c.plain, c.unique)
		}
		if id, ok := splitUnique(unique, numberSuffix); !ok || id != someID {
			t.Errorf("%q: id %q", unique, id)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"", ".", "..", "a/b", "%2F", "\xff", "a@" + someID, strings.Repeat("語", 200), "x\ny"} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{a, b} {
			entry := escapeName(name)
			if back, ok := unescapeName(entry); !ok || back != name {
				t.Errorf("%q becomes %q, and that %q", name, entry, back)
			}
			fileName(t, uniqueEntry(glanceapi.Image{ID: someID, Name: name}))
			for _, suffix := range []*regexp.Regexp{uuidSuffix, numberSuffix} {
				plain, ok := plainEntry(name, suffix)
				if !ok {
					continue
				}
				fileName(t, plain)
				if id, ok := splitUnique(plain, suffix); ok {
					t.Errorf("%q reads as an entry of image %s", plain, id)
				}
			}
		}
		if a != b && escapeName(a) == escapeName(b) {
			t.Errorf("%q and %q are both %q", a, b, escapeName(a))
		}
		if name, ok := unescapeName(a); ok && escapeName(name) != a {
			t.Errorf("%q is accepted for %q", a, name)
		}
	})
}

// fileName fails unless s can be a file name in one directory.
func fileName(t *testing.T, s string) {
	t.Helper()
	if s == "" || s == "." || s == ".." || len(s) > nameMax || strings.ContainsAny(s, "/\x00\n") || !utf8.ValidString(s) {
		t.Errorf("%q cannot be a file name", s)
	}
}
