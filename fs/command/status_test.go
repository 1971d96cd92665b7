package command

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"glancefs/fs"
)

// A name that somebody has given a draft does not make up lines, or speak to the
// terminal.
func TestStatusOfOddNames(t *testing.T) {
	var out strings.Builder
	why := "odd\x1b[2J: no"
	c := cli.NewContext(&cli.App{Writer: &out}, nil, nil)
	if err := tell(c, fs.Status{Uploads: []fs.UploadStatus{{Name: "a\nservice fake", State: "draft"}, {Name: "é \"b\"", Error: &why}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`draft     "a\nservice fake": 0`, `draft     é "b": 0 B; "odd\x1b[2J: no"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestBytesOf(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1000 B", 1023: "1023 B", 1024: "1 KiB", 3000: "2.93 KiB",
		1010 << 20: "1010 MiB", 1<<30 - 1: "1024 MiB", 1 << 50: "1024 TiB",
	} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d: %s, not %s", n, got, want)
		}
	}
}
