package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// releases are the servers that have no other place to run in than here.
var releases = map[string]server.Release{
	"Bexar": server.Bexar, "Cactus": server.Cactus, "Diablo": server.Diablo, "Essex": server.Essex,
	"Queens": server.Queens, "Zed": server.Zed,
}

// TestClient does through the mount what the image service's client class of 2011
// did, at servers from then until today: there is a script for each section of the
// class's document, in testdata/client. A script has these conditions:
//
//	[v1] [v2]    the API that is spoken
//	[members]    images can be shared, which they can from Diablo on
//	[private]    private images are listed, which they are from Diablo on
//	[uuid]       ids are UUIDs, which they are from Essex on
//	[Essex] ...  the server has the habits of that release
//
// The scripts of a server run at once and share one mount, so each names its
// images like no other does.
func TestClient(t *testing.T) {
	t.Parallel()
	require(t)
	t.Run("Glance", func(t *testing.T) {
		t.Parallel()
		clientScripts(t, started(t, tokens).URL, "Glance", server.Zed)
	})
	for name, release := range releases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := glancetest.New(t)
			s.Images.Release = release
			clientScripts(t, s.URL, name, release)
		})
	}
}

// clientScripts runs them against a server that is, or behaves, like a release.
func clientScripts(t *testing.T, endpoint, name string, release server.Release) {
	api := "v1"
	if release == server.Zed {
		api = "v2"
	}
	holds := []string{name, api}
	if release >= server.Diablo {
		holds = append(holds, "members", "private")
	}
	if release >= server.Essex {
		holds = append(holds, "uuid")
	}
	const token = "root:tenant0:admin"
	m := mountEnv(t, []string{"OS_TOKEN=" + token}, "--endpoint", endpoint, "--api-version", api, "--allow-delete", "--timeout", "5s")
	p := scripts("testdata/client")
	p.WorkdirRoot = filepath.Join(scratch(), "client-"+name)
	if err := os.Mkdir(p.WorkdirRoot, 0o755); err != nil {
		t.Fatal(err)
	}
	p.Setup = func(e *testscript.Env) error {
		e.Vars = append(e.Vars, "MNT="+m.Dir, "GLANCE="+endpoint, "API="+api, "OS_TOKEN="+token)
		return newScript(e, &script{})
	}
	p.Condition = func(cond string) (bool, error) {
		known := slices.Contains([]string{"v1", "v2", "members", "private", "uuid", "Glance"}, cond)
		if _, is := releases[cond]; !is && !known {
			return false, fmt.Errorf("no condition %q", cond)
		}
		return slices.Contains(holds, cond), nil
	}
	testscript.Run(t, p)
}
