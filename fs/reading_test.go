package fs

import (
	"fmt"
	"testing"

	"glancefs/fs/metadata"
)

func documentOf(t *testing.T, text string) metadata.Document {
	t.Helper()
	d, err := metadata.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// version is a document with some properties, all of one second.
func version(properties string) []byte {
	return fmt.Appendf(nil, `{"updated_at": "2026-01-02T03:04:05Z", "properties": {%s}}`, properties)
}

// TestBase: from which version somebody has made what is written, where several are
// of the same second.
func TestBase(t *testing.T) {
	const first, second = `"a": "1", "b": "1"`, `"a": "2", "b": "1"`
	var (
		script  = process{thread: 10, id: 10, parent: 2, alone: true}
		reader  = process{thread: 11, id: 11, parent: 10, alone: true}
		writer  = process{thread: 12, id: 12, parent: 10, alone: true}
		threads = process{thread: 21, id: 20, parent: 2}
		other   = process{thread: 30, id: 30, parent: 3, alone: true}
		unknown process
	)
	read := func(by process, text string) reading { return reading{"1", by, false, version(text)} }
	wrote := func(by process, text string) reading { return reading{"1", by, true, version(text)} }
	for name, c := range map[string]struct {
		before []reading
		by     process
		d      string
		want   string
		sure   bool
	}{
		"what it has read": {[]reading{read(script, first), read(other, second)}, script, `"a": "1", "b": "2"`, first, true},
		"what it has read last, though it looks like the one before": {
			[]reading{read(script, first), read(script, second)}, script, `"a": "1", "b": "2"`, second, true,
		},
		"what it has written itself": {[]reading{read(script, first), wrote(script, second)}, script, first, second, true},
		"what one of its threads has read": {
			[]reading{read(threads, first), read(threads, second)}, threads, `"a": "1", "b": "2"`, first, false,
		},
		"what its sister has read":     {[]reading{read(reader, first), read(other, second)}, writer, `"a": "2", "b": "2"`, first, false},
		"what its parent has read":     {[]reading{read(script, first), read(other, second)}, writer, `"a": "2", "b": "2"`, first, false},
		"not what others have written": {[]reading{read(reader, first), wrote(other, second)}, writer, `"a": "2", "b": "2"`, first, false},
		"what a stranger has read":     {[]reading{read(other, first)}, writer, `"a": "1", "b": "2"`, first, false},
		"what is there now":            {nil, writer, `"a": "3", "b": "2"`, `"a": "3", "b": "3"`, false},
		"who cannot be told, by what is nearest": {
			[]reading{read(unknown, first), read(unknown, second)}, unknown, `"a": "1", "b": "2"`, first, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r readings
			for _, a := range c.before {
				r.add(a)
			}
			r.add(reading{"2", c.by, false, version(`"of": "another image"`)})
			got, sure := r.base("1", c.by, documentOf(t, string(version(c.d))), documentOf(t, string(version(`"a": "3", "b": "3"`))))
			if want := documentOf(t, string(version(c.want))); !got.Agrees(want) || sure != c.sure {
				t.Errorf("got %s, %t", got["properties"], sure)
			}
		})
	}

	var r readings
	r.add(read(script, first))
	d := documentOf(t, `{"updated_at": "2020-01-01T00:00:00Z"}`)
	if got, _ := r.base("1", script, d, documentOf(t, string(version(first)))); got != nil {
		t.Errorf("of a second that nobody has seen: %v", got)
	}
}

// TestReadingsAreBounded: what is remembered does not grow without end.
func TestReadingsAreBounded(t *testing.T) {
	var r readings
	for range 2 * maxReadings {
		r.add(reading{of: "1", text: make([]byte, 10)})
	}
	if len(r.all) != maxReadings || r.size != 10*maxReadings {
		t.Errorf("%d readings of %d bytes", len(r.all), r.size)
	}
	for range 10 {
		r.add(reading{of: "1", text: make([]byte, maxRead/4)})
	}
	if len(r.all) > 4 || r.size > maxRead {
		t.Errorf("%d readings of %d bytes", len(r.all), r.size)
	}
}
