package glanceapi

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestUnquoteKeepsBytes(t *testing.T) {
	for _, c := range []struct{ literal, want string }{
		{`""`, ""},
		{`"plain"`, "plain"},
		{`"a\n\"\\\u00e9"`, "a\n\"\\é"},
		{`"\ud83d\ude00"`, "😀"},
		{`"\ud83d"`, "\ufffd"},
		{"\"\xff\"", "\xff"},
		{"\"caf\xe9 \\n\xe9\"", "caf\xe9 \n\xe9"},
		{"\"\\ud83d\xff\\ude00\"", "\ufffd\xff\ufffd"},
		{"\"cut \xe8\xaa\"", "cut \xe8\xaa"},
		{"\"\ufffd\xff\"", "\ufffd\xff"}, // a real U+FFFD is not an invalid byte
	} {
		if got := unquote([]byte(c.literal)); got != c.want {
			t.Errorf("unquote(%q) = %q, want %q", c.literal, got, c.want)
		}
	}
}

// FuzzUnquote quotes any bytes by hand and expects them back.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{"", "a", "caf\xe9", "\xff\xfe", "語\xe8\xaa", `\"`, "\x00\n", "\u2028<>&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		literal := quoteByHand(s)
		if !json.Valid(literal) {
			t.Skip() // cannot happen, and would make the rest meaningless
		}
		if got := unquote(literal); got != s {
			t.Errorf("unquote(%q) = %q, want %q", literal, got, s)
		}
		if !utf8.ValidString(s) {
			return
		}
		marshalled, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := unquote(marshalled); got != s {
			t.Errorf("unquote(%q) = %q, want %q", marshalled, got, s)
		}
	})
}

func quoteByHand(s string) []byte {
	out := []byte{'"'}
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			out = append(out, '\\', b)
		case b < ' ':
			out = append(out, `\u00`...)
			out = append(out, "0123456789abcdef"[b>>4], "0123456789abcdef"[b&15])
		default:
			out = append(out, b)
		}
	}
	return append(out, '"')
}

// FuzzEachField compares with encoding/json wherever that loses nothing.
func FuzzEachField(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` { "a" : [1, {}] , "b":null,"a":"x"}`, `[]`, `{"a"`, "{\"\xff\":1}", `{"a":1}x`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		got := map[string]json.RawMessage{}
		err := eachField(doc, func(k string, v json.RawMessage) { got[k] = v })
		if !json.Valid(doc) || !utf8.Valid(doc) {
			return // it must not panic, no more
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(doc, &want) != nil || want == nil {
			if err == nil {
				t.Fatalf("%q was taken for an object", doc)
			}
			return
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%q: %v, (-want +got)\n%s", doc, err, diff)
		}
	})
}

func TestEachFieldKeepsKeys(t *testing.T) {
	got := map[string]string{}
	doc := "{ \"caf\xe9\" : 1,\n\t\"caf\xff\":[ 1, 2 ], \"x\\/y\":\"\xfe\"}"
	if err := eachField([]byte(doc), func(k string, v json.RawMessage) { got[k] = textOrJSON(v) }); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"caf\xe9": "1", "caf\xff": "[1,2]", "x/y": "\xfe"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
