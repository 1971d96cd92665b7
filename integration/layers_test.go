package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The packages depend on each other in one direction, and each library is
// known to the package whose business it is.
func TestLayers(t *testing.T) {
	for pkg, forbidden := range map[string][]string{
		"glancefs/cache":            {"glancefs/", "github.com/hanwen/", "github.com/gophercloud/", "github.com/urfave/", "net/http"},
		"glancefs/glanceapi":        {"glancefs/", "github.com/hanwen/", "github.com/urfave/"},
		"glancefs/glanceapi/server": {"glancefs/cache", "glancefs/fs", "github.com/hanwen/", "github.com/gophercloud/", "github.com/urfave/"},
		"glancefs/fs/diskformat":    {"glancefs/", "github.com/"},
		"glancefs/fs/metadata":      {"glancefs/fs/catalog", "glancefs/glanceapi/server", "github.com/hanwen/", "github.com/urfave/"},
		"glancefs/fs/herald":        {"glancefs/", "github.com/"},
		"glancefs/fs/disk":          {"glancefs/", "github.com/"},
		"glancefs/fs/publish":       {"glancefs/fs/catalog", "glancefs/glanceapi/server", "github.com/hanwen/", "github.com/urfave/"},
		"glancefs/fs/catalog":       {"glancefs/cache", "glancefs/fs", "glancefs/glanceapi/server", "github.com/hanwen/", "github.com/urfave/"},
		"glancefs/fs":               {"glancefs/integration", "glancefs/fs/command", "glancefs/glanceapi/server", "glancefs/glanceapi/glancetest", "github.com/urfave/"},
	} {
		out, err := exec.Command("go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for dep := range strings.FieldsSeq(string(out)) {
			if dep != pkg && slices.ContainsFunc(forbidden, func(f string) bool { return dep == f || strings.HasSuffix(f, "/") && strings.HasPrefix(dep, f) }) {
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
	}
	direct, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "glancefs/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(direct)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		for library, owner := range map[string]string{"github.com/hanwen/go-fuse": "glancefs/fs", "github.com/gophercloud/": "glancefs/glanceapi"} {
			if pkg != owner && strings.Contains(imports, library) {
				t.Errorf("%s imports %s, which is the business of %s", pkg, library, owner)
			}
		}
	}
}

// Which error a user sees is decided in fs/errno.go. Elsewhere in the tree an errno may be
// compared with what the kernel has said, by ==, != or errors.Is, and is not written
// otherwise.
func TestErrnosInOnePlace(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../fs/*.go", "../fs/publish/*.go", "../fs/metadata/*.go", "../fs/catalog/*.go", "../fs/disk/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		if name := filepath.Base(path); name == "errno.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		compared := make(map[ast.Expr]bool)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					compared[n.X], compared[n.Y] = true, true
				}
			case *ast.CallExpr:
				if qualified(n.Fun) == "errors.Is" {
					compared[n.Args[1]] = true
				}
			case *ast.SelectorExpr:
				if errnoName.MatchString(qualified(n)) && !compared[n] {
					t.Errorf("%s: %s is made outside errno.go", set.Position(n.Pos()), qualified(n))
				}
			}
			return true
		})
	}
}

var errnoName = regexp.MustCompile(`^(syscall|unix)\.E[A-Z0-9]+$`)

// qualified is how a name of another package is written, "" for anything else.
func qualified(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + s.Sel.Name
}
