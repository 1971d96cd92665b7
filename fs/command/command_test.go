package command

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongUsage gives what cannot work: one line that names it, and a status.
func TestWrongUsage(t *testing.T) {
	empty, full := t.TempDir(), t.TempDir()
	none := filepath.Join(empty, "none")
	file := filepath.Join(full, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cache := "--cache-dir=" + t.TempDir()
	nobody := "--endpoint=http://127.0.0.1:1"
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"nosuch"}, exitUsage, "nosuch"},
		{[]string{"cache", "nosuch"}, exitUsage, "nosuch"},
		{[]string{"cache", "ls", "surplus"}, exitUsage, `"surplus"`},
		{[]string{"cache", "verify", "surplus"}, exitUsage, `"surplus"`},
		{[]string{"cache", "prune", "surplus"}, exitUsage, `"surplus"`},
		{[]string{"version", "surplus"}, exitUsage, `"surplus"`},
		{[]string{"demo", "surplus"}, exitUsage, `"surplus"`},
		{[]string{"mount", empty, "surplus"}, exitUsage, `"surplus"`},
		{[]string{"umount", empty, "--lazy"}, exitUsage, `"--lazy"`},
		{[]string{"status", empty, "surplus"}, exitUsage, `"surplus"`},
		{[]string{"upgrade", empty, "surplus"}, exitUsage, `"surplus"`},
		{[]string{"mount"}, exitUsage, "MOUNTPOINT"},
		{[]string{"mount", "--nosuch", empty}, exitUsage, "no such flag: --nosuch"},
		{[]string{"mount", "--timeout=5", empty}, exitUsage, `--timeout: "5" is not a time such as 10s`},
		{[]string{"mount", "--uid=me", empty}, exitUsage, `--uid: "me" is not a number`},
		{[]string{"mount", "--read-only=perhaps", empty}, exitUsage, `--read-only: "perhaps" is not true or false`},
		{[]string{"cache", "ls", "--cache-dir"}, exitUsage, "--cache-dir needs a value"},
		{[]string{"mount", "--refresh=-1s", empty}, exitUsage, "--refresh"},
		{[]string{"mount", "--uid=4294967295", empty}, exitUsage, "4294967295"},
		{[]string{"mount", "--log-level=loud", empty}, exitUsage, "loud"},
		{[]string{"mount", "--log-format=xml", empty}, exitUsage, "xml"},
		{[]string{"mount", "--verify=perhaps", nobody, cache, empty}, exitUsage, "perhaps"},
		{[]string{"mount", "--cache-size=1", nobody, cache, empty}, exitUsage, "4 MiB"},
		{[]string{"mount", nobody, "--cache-dir", file, empty}, exitUsage, file + " is no directory"},
		{[]string{"mount", nobody, "--cache-dir", file + "/x", empty}, exitUsage, "not a directory"},
		{[]string{"mount", nobody, "--cache-dir=", empty}, exitUsage, "--cache-dir: no directory"},
		{[]string{"cache", "ls", "--cache-dir="}, exitUsage, "--cache-dir: no directory"},
		{[]string{"cache", "verify", "--cache-dir="}, exitUsage, "--cache-dir: no directory"},
		{[]string{"cache", "prune", "--cache-dir="}, exitUsage, "--cache-dir: no directory"},
		{[]string{"umount", ""}, exitUsage, "MOUNTPOINT"},
		{[]string{"mount", nobody, "--cache-dir", empty, empty}, exitUsage, "--cache-dir: " + empty + " is in the mountpoint"},
		{[]string{"mount", nobody, "--cache-dir", empty + "/a/b", empty}, exitUsage, "is in the mountpoint"},
		{[]string{"cache", "verify", "--cache-dir", file}, exitSystem, "not a directory"},
		{[]string{"mount", "--cache-size=150%", nobody, cache, empty}, exitUsage, `"150%"`},
		{[]string{"mount", "--cache-size=0%", nobody, cache, empty}, exitUsage, `"0%"`},
		{[]string{"mount", "--cache-size=-5", nobody, cache, empty}, exitUsage, `"-5" is not a size`},
		{[]string{"mount", "--cache-size=large", nobody, cache, empty}, exitUsage, `"large" is not a size`},
		{[]string{"mount", nobody, cache, full}, exitMount, "not empty"},
		{[]string{"mount", nobody, cache, none}, exitMount, "no such file"},
		{[]string{"mount", nobody, cache, empty}, exitMount, "http://127.0.0.1:1"},
		{[]string{"mount", "--os-cloud=some", nobody, cache, empty}, exitUsage, "--endpoint, --os-cloud"},
		{[]string{"mount", "--endpoint=ftp://x", cache, empty}, exitUsage, "http"},
		{[]string{"mount", "--api-version=v3", nobody, cache, empty}, exitUsage, `"v3"`},
		{[]string{"umount", empty}, exitSystem, "no glancefs is mounted there"},
		{[]string{"status", empty}, exitSystem, "no glancefs answers"},
		{[]string{"warm", empty}, exitUsage, "IMAGE"},
		{[]string{"warm", empty, "disk"}, exitSystem, "no glancefs answers"},
		{[]string{"cache", "ls", "--cache-dir", none}, exitSystem, "no cache in " + none},
		{[]string{"cache", "verify", "--cache-dir", none}, exitSystem, "no cache in " + none},
		{[]string{"cache", "prune", "--cache-dir", none}, exitSystem, "no cache in " + none},
		{[]string{"cache", "prune", cache, "--to=5"}, exitUsage, "--to"},
	} {
		t.Run(strings.Join(c.args[:min(2, len(c.args))], " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := Run(context.Background(), "devel", append([]string{"glancefs"}, c.args...), &stdout, &stderr)
			line := stderr.String()
			if status != c.status || !strings.Contains(line, c.says) || strings.Count(line, "\n") != 1 || stdout.Len() > 0 {
				t.Errorf("%v: status %d, want %d; stderr %q, want one line with %q; stdout %q", c.args, status, c.status, line, c.says, stdout.String())
			}
			if _, err := os.Stat(none); err == nil {
				t.Errorf("%v: made %s", c.args, none)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		var stdout bytes.Buffer
		if status := Run(context.Background(), "1.2", []string{"glancefs", arg}, &stdout, &stdout); status != 0 || stdout.String() != "glancefs 1.2\n" {
			t.Errorf("%s: status %d: %q", arg, status, stdout.String())
		}
	}
}

// TestManPage wants every command and flag of the help in the manual page.
func TestManPage(t *testing.T) {
	var page bytes.Buffer
	if status := Run(context.Background(), "1.2", []string{"glancefs", "man", "../../docs/package/glancefs.8.md"}, &page, &page); status != 0 {
		t.Fatalf("status %d: %s", status, &page)
	}
	text := strings.ReplaceAll(page.String(), `\-`, "-")
	for _, want := range []string{"1.2", "glancefs mount", "glancefs cache verify", "--os-cloud", "GLANCEFS_OS_CLOUD", "--lazy", "EXIT STATUS"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, c := range commands() {
		for _, c := range append(c.Subcommands, c) {
			for _, f := range c.VisibleFlags() {
				if name := "--" + f.Names()[0]; name != "--help" && !c.Hidden && !strings.Contains(text, "\\fB"+name+"\\fP") {
					t.Errorf("no %q of %s in the page", name, c.Name)
				}
			}
		}
	}
	for _, hidden := range []string{"--detach", "glancefs probe", "glancefs man", "`"} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is in the page", hidden)
		}
	}
}
