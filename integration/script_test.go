package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the scripts of testdata. They have these commands besides
// testscript's own, none of which can be negated:
//
//	server MODE           starts a server of glance.sh; sets $GLANCE, its URL
//	noise FILE SIZE       makes a file of SIZE bytes that do not repeat
//	upload NAME FILE VAR  makes an active image with curl as $OS_TOKEN; sets $VAR to its id
//	mount FLAG...         runs glancefs mount in the background until it is ready; sets $MNT
//	refused FLAG... DIR   runs a glancefs mount that must fail by itself, with one line on stderr
//	umount                glancefs umount $MNT; the process of mount must end with status 0
//	listed DIR NAME       waits until ls shows NAME in DIR
//	gone PATH             waits until there is nothing at PATH
//	stats NAME            prints a counter of .glancefs/stats
//	made NAME VAR         sets $VAR to the id of the image that incoming/NAME has become
func TestScript(t *testing.T) {
	t.Parallel()
	require(t)
	p := scripts("testdata")
	p.Setup = func(e *testscript.Env) error { return newScript(e, &script{}) }
	testscript.Run(t, p)
}

// scripts says how the scripts of a directory are run.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		// The work directories go with the run's, after its namespaces: nothing
		// here removes a tree that might have a mount in it.
		WorkdirRoot:        scratch(),
		RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server":  scriptCommand((*script).server, "MODE"),
			"noise":   scriptCommand((*script).noise, "FILE", "SIZE"),
			"upload":  scriptCommand((*script).upload, "NAME", "FILE", "VAR"),
			"mount":   scriptCommand((*script).mount, "FLAG..."),
			"refused": scriptCommand((*script).refused, "FLAG..."),
			"umount":  scriptCommand((*script).umount),
			"listed":  scriptCommand((*script).listed, "DIR", "NAME"),
			"gone":    scriptCommand((*script).gone, "PATH"),
			"stats":   scriptCommand((*script).stats, "NAME"),
			"made":    scriptCommand((*script).made, "NAME", "VAR"),
		},
	}
}

// newScript prepares what a script runs in.
func newScript(e *testscript.Env, s *script) error {
	bin, err := buildGlancefs()
	if err != nil {
		return err
	}
	s.tb = e.T().(testing.TB)
	e.Vars = append(e.Vars, environ(bin)...)
	e.Values[scriptKey{}] = s
	return os.Chmod(e.WorkDir, 0o755)
}

// A script is what one script has started.
type script struct {
	tb     testing.TB
	glance *glance
	m      *Mount
}

type scriptKey struct{}

// scriptCommand makes a command of a method. A last parameter in "..." takes
// any number of arguments.
func scriptCommand(f func(*script, *testscript.TestScript, []string) error, params ...string) func(*testscript.TestScript, bool, []string) {
	some := len(params) > 0 && strings.HasSuffix(params[len(params)-1], "...")
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || !some && len(args) != len(params) {
			ts.Fatalf("wants %q, without !", params)
		}
		ts.Check(f(ts.Value(scriptKey{}).(*script), ts, args))
	}
}

func (s *script) server(ts *testscript.TestScript, args []string) (err error) {
	start, ok := map[string]func() (*glance, error){"noauth": noauth, "norange": norange, "tokens": tokens}[args[0]]
	if !ok {
		return fmt.Errorf("no server %q", args[0])
	}
	if s.glance, err = start(); err != nil {
		return err
	}
	ts.Setenv("GLANCE", s.glance.URL)
	return nil
}

func (s *script) noise(ts *testscript.TestScript, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[0]), noise(ts.Name()+args[0], n), 0o644)
}

func (s *script) upload(ts *testscript.TestScript, args []string) error {
	id, err := s.glance.upload(ts.Getenv("OS_TOKEN"), args[0], ts.MkAbs(args[1]))
	ts.Setenv(args[2], id)
	return err
}

func (s *script) mount(ts *testscript.TestScript, args []string) (err error) {
	s.m, err = newMount([]string{"OS_TOKEN=" + ts.Getenv("OS_TOKEN")}, args...)
	if err != nil {
		return err
	}
	m := s.m
	s.tb.Cleanup(func() { m.finish(s.tb) })
	ts.Setenv("MNT", m.Dir)
	return m.start()
}

func (s *script) refused(ts *testscript.TestScript, args []string) error {
	log, err := refused(nil, append(args[:len(args)-1:len(args)-1], ts.MkAbs(args[len(args)-1]))...)
	fmt.Fprint(ts.Stderr(), log)
	return err
}

func (s *script) umount(*testscript.TestScript, []string) error {
	if _, err := try(nil, "glancefs", "umount", s.m.Dir); err != nil {
		return err
	}
	return s.m.wait()
}

func (s *script) listed(ts *testscript.TestScript, args []string) error {
	dir, name := ts.MkAbs(args[0]), args[1]
	return eventually(name+" in "+filepath.Base(dir), func() (bool, error) {
		out, err := try(nil, "ls", dir)
		return err == nil && slices.Contains(strings.Split(string(out), "\n"), name), err
	})
}

// gone is for what the kernel may know for a moment more: it is told that a name means
// nothing any more beside the answer to what has brought that about.
func (s *script) gone(ts *testscript.TestScript, args []string) error {
	path := ts.MkAbs(args[0])
	return eventually("the end of "+path, func() (bool, error) {
		_, err := try(nil, "stat", path)
		return err != nil && strings.Contains(err.Error(), "No such file or directory"), err
	})
}

func (s *script) stats(ts *testscript.TestScript, args []string) error {
	v, err := s.m.stats(args[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(ts.Stdout(), "%.0f\n", v)
	return err
}

func (s *script) made(ts *testscript.TestScript, args []string) error {
	to, err := os.Readlink(filepath.Join(ts.Getenv("MNT"), "incoming", args[0]))
	if err != nil {
		return err
	}
	id, ok := strings.CutPrefix(strings.TrimSuffix(to, "/data"), "../images/")
	if !ok {
		return fmt.Errorf("%s is a link to %s", args[0], to)
	}
	ts.Setenv(args[1], id)
	return nil
}
