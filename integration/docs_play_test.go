package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A play is a script for bash that has the commands of one document in it, in its
// order and as it has them, and between them what makes their world, and looks at
// what they have done. It is a file of testdata/docs, whose lines are bash's but
// for those that begin with
//
//	$ COMMAND       a command of the document, which has to succeed
//	! COMMAND       one that has to fail
//	- COMMAND       one that is not run; the comment before it says why, and how it
//	                is tested instead
//	= KIND          a block of another kind, which is then in the file $block
//	`SPAN` $ LINE   a command in a sentence, and how it is run; so, too, with ! and -
//
// What the last command has printed is in the file $out.
type play struct {
	items  []item // as those of the document
	spans  []string
	script string
}

// newPlay reads the text of a play of a document, which is run with some of the
// document's text replaced.
func newPlay(text string, d document, here *strings.Replacer, dir string) (p play, err error) {
	var script strings.Builder
	blocks := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		mark, rest, _ := strings.Cut(line, " ")
		quoted := strings.HasPrefix(line, "`")
		if quoted {
			var s string
			s, rest, _ = strings.Cut(line[1:], "` ")
			p.spans = append(p.spans, s)
			mark, rest, _ = strings.Cut(rest, " ")
			if missing := missingWord(s, rest); mark != "-" && missing != "" {
				return p, fmt.Errorf("%q is not run by %q, which has no %q", s, rest, missing)
			}
		}
		switch mark {
		case "$", "!", "-":
			if !quoted {
				p.items = append(p.items, item{shellCommand, rest})
			}
			script.WriteString(step(mark, here.Replace(rest)))
		case "=":
			if len(p.items) >= len(d.items) || d.items[len(p.items)].kind != rest {
				return p, fmt.Errorf("%q comes where the document has %+v", line, d.items[min(len(p.items), len(d.items)):])
			}
			block := d.items[len(p.items)]
			p.items = append(p.items, block)
			blocks++
			file := filepath.Join(dir, fmt.Sprintf("block%d.%s", blocks, rest))
			if err := os.WriteFile(file, []byte(here.Replace(block.text)), 0o644); err != nil {
				return p, err
			}
			fmt.Fprintf(&script, "block=%s\n", file)
		default:
			script.WriteString(line + "\n")
		}
	}
	p.script = script.String()
	return p, nil
}

// missingWord is a word of a command that the line which runs it does not have,
// other than a name that stands for one of many, or "".
func missingWord(command, line string) string {
	for word := range strings.FieldsSeq(command) {
		if !strings.ContainsAny(word, "<…") && strings.ToUpper(word) != word && !strings.Contains(line, word) && len(word) > 1 {
			return word
		}
	}
	return ""
}

// step is a command of a document in the words of bash.
func step(mark, command string) string {
	switch mark {
	case "$":
		return fmt.Sprintf("echo %s\n{\n%s\n} >\"$out\" 2>&1\n", quote("$ "+command), command)
	case "!":
		return fmt.Sprintf("echo %s\nif {\n%s\n} >\"$out\" 2>&1; then echo 'it does not fail'; false; fi\n", quote("! "+command), command)
	}
	return ""
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// perform runs a play on a machine of its own, with an account of its own in a
// cloud, and the images debian-13 and disk, which are files of its directory, too.
func perform(t *testing.T, p play, name, dir string) {
	t.Helper()
	c := started(t, keystone)
	account := "docs-" + name
	if _, err := c.addUser(account, account, "member"); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"debian-13", "disk"} {
		raw, file := filepath.Join(dir, "raw"), filepath.Join(dir, image+".qcow2")
		if err := os.WriteFile(raw, noise(account+image, 3<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, file)
		c.Upload(t, account, image, file)
	}
	prelude, err := os.ReadFile("testdata/docs/prelude.sh")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := buildGlancefs()
	if err != nil {
		t.Fatal(err)
	}
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	env := append(goEnviron(t), "repo="+repo, "work="+dir, "state="+dir+"/state", "out="+dir+"/out", "GLANCEFS="+bin+"/glancefs",
		"KEYSTONE="+c.URL, "IMAGES="+c.Glance.URL, "ACCOUNT="+account, "OTHER="+started(t, noauth).URL)
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, append(prelude, p.script...), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	cmd, err := command(ctx, env, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-eu", "-o", "pipefail", script)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Errorf("%v:\n%s", err, &said)
	}
}

// goEnviron is what the go command wants to build as it does for this test, with
// the PATH of a user who has installed it.
func goEnviron(t *testing.T) (env []string) {
	t.Helper()
	names := []string{"GOROOT", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Split(string(out), "\n")
	for i, name := range names {
		env = append(env, name+"="+values[i])
	}
	return append(env, "PATH=/usr/local/sbin:/usr/local/bin:"+values[0]+"/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}
