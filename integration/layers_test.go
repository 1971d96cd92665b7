package integration

import (
	"os/exec"
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
