package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are what users read that has commands.
func documents(t *testing.T) []document {
	t.Helper()
	names, err := filepath.Glob("../docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("documents: %q, %v", names, err)
	}
	var all []document
	for _, name := range append(names, "../README.md", "../docs/package/glancefs.8.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseDocument(string(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d.name = filepath.Base(name)
		all = append(all, d)
	}
	return all
}

// A document is what somebody may type, or copy, of a text in Markdown.
type document struct {
	name  string
	items []item   // of blocks, in order
	spans []string // in a sentence: two or more words of which the first is a program's name, each once
	prose string   // all that is in no block
}

// An item is one line of a block of shell, or a whole block of another kind.
type item struct {
	kind string // command, or the kind of the block
	text string
}

const shellCommand = "command"

var (
	fence  = regexp.MustCompile("^( *)```([a-z]*)$")
	spoken = regexp.MustCompile("`[^`]+`")
	typed  = regexp.MustCompile(`^[a-z][a-z0-9.-]*( .|$)`)
)

// parseDocument reads a text whose blocks are all fenced and say of what kind they
// are. Blocks of the kind text are for looking at only.
func parseDocument(text string) (d document, err error) {
	var prose, block strings.Builder
	indent, kind, inside := "", "", false
	number := 0
	for line := range strings.Lines(text) {
		number++
		m := fence.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case m == nil && inside:
			block.WriteString(strings.TrimPrefix(line, indent))
		case m == nil && strings.HasPrefix(line, "    "):
			return d, fmt.Errorf("line %d: a block without a fence", number)
		case m == nil:
			prose.WriteString(line)
		case !inside && m[2] == "":
			return d, fmt.Errorf("line %d: a block that does not say of what kind it is", number)
		case !inside:
			indent, kind, inside = m[1], m[2], true
		default:
			d.items = append(d.items, items(kind, block.String())...)
			block.Reset()
			inside = false
		}
	}
	if inside {
		return d, fmt.Errorf("a block of %s that does not end", kind)
	}
	d.prose = prose.String()
	for _, s := range spoken.FindAllString(d.prose, -1) {
		s = strings.Join(strings.Fields(strings.Trim(s, "`")), " ")
		if strings.Contains(s, " ") && typed.MatchString(s) && !slices.Contains(d.spans, s) {
			d.spans = append(d.spans, s)
		}
	}
	return d, nil
}

func items(kind, block string) (all []item) {
	switch kind {
	case "text":
	case "sh":
		for line := range strings.Lines(block) {
			command, _, _ := strings.Cut(strings.TrimSpace(line), "  #")
			all = append(all, item{shellCommand, strings.TrimSpace(command)})
		}
	default:
		all = []item{{kind, block}}
	}
	return all
}

// TestDocs types what the documents say, each in a mount namespace of its own, at a
// real Glance. A document must have a play that has all of its commands, and no
// others.
func TestDocs(t *testing.T) {
	t.Parallel()
	require(t)
	var runs, spans, covered []string
	for _, d := range documents(t) {
		text, err := os.ReadFile(filepath.Join("testdata/docs", d.name+".play"))
		if errors.Is(err, os.ErrNotExist) {
			text, err = nil, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.MkdirTemp(scratch(), "docs")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil { // somebody else reads there, too
			t.Fatal(err)
		}
		p, err := newPlay(string(text), d, replaced(t, dir), dir)
		if err != nil {
			t.Errorf("%s.play: %v", d.name, err)
			continue
		}
		for i := range max(len(p.items), len(d.items)) {
			if i >= len(p.items) || i >= len(d.items) || p.items[i] != d.items[i] {
				t.Errorf("after %d that agree, %s has %q, and its play has %q", i, d.name, d.items[i:], p.items[i:])
				break
			}
		}
		for _, i := range p.items {
			runs = append(runs, i.text)
		}
		spans, covered = append(spans, d.spans...), append(covered, p.spans...)
		if p.script != "" {
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				perform(t, p, d.name, dir)
			})
		}
	}
	for _, s := range spans {
		begins := func(run string) bool { return run == s || strings.HasPrefix(run, s+" ") }
		if !slices.Contains(covered, s) && !slices.ContainsFunc(runs, begins) {
			t.Errorf("no play has `%s`", s)
		}
	}
	for _, s := range covered {
		if !slices.Contains(spans, s) {
			t.Errorf("a play has `%s`, and no document", s)
		}
	}
}

// replaced is what is other here than where a document is followed: tests share
// the ports of one machine, and its /tmp.
func replaced(t *testing.T, dir string) *strings.Replacer {
	t.Helper()
	var ports []string
	for range 2 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return strings.NewReplacer("/tmp/glance", dir+"/glance", "9292", ports[0], "9293", ports[1])
}

// TestDocsFlags wants the program to have the flags, and the variables, that the
// documents, the units and the alerts speak of.
func TestDocsFlags(t *testing.T) {
	t.Parallel()
	require(t)
	var help string
	for _, name := range []string{"mount", "umount", "warm", "status", "cache prune"} {
		help += string(run(t, "glancefs", append(strings.Fields(name), "--help")...))
	}
	others := map[string]string{"--delay-updates": "rsync", "--inplace": "rsync", "--remove-destination": "cp", "--vfs-cache-mode": "rclone"}
	used := map[string]bool{}
	check := func(name, text string) {
		for _, m := range regexp.MustCompile(`(^|[^\w-])(--[a-z][a-z-]*)`).FindAllStringSubmatch(text, -1) {
			if flag := m[2]; others[flag] != "" {
				used[flag] = true
			} else if !regexp.MustCompile(flag + `\b[^-]`).MatchString(help) {
				t.Errorf("%s has %s, which is no flag", name, flag)
			}
		}
		for _, variable := range regexp.MustCompile(`GLANCEFS_[A-Z][A-Z_]*`).FindAllString(text, -1) {
			if !strings.Contains(help, "[$"+variable+"]") {
				t.Errorf("%s has %s, which is no flag's variable", name, variable)
			}
		}
	}
	for _, d := range documents(t) {
		check(d.name, d.prose)
		for _, i := range d.items {
			if strings.HasPrefix(i.text, "glancefs ") || i.kind != shellCommand {
				check(d.name, i.text)
			}
		}
	}
	for _, pattern := range []string{"../docs/units/*", "../docs/monitoring/*.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			check(name, string(text))
		}
	}
	for flag, program := range others {
		if !used[flag] {
			t.Errorf("no document has %s of %s", flag, program)
		}
	}
}
