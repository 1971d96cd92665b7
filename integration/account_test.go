package integration

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAccounts mounts a project's images in each way of saying who one is.
func TestAccounts(t *testing.T) {
	t.Parallel()
	c := started(t, keystone)
	source, _ := noiseFile(t, 3141592)
	mine := c.Upload(t, "demo", "accounts", source)
	theirs := c.Upload(t, "other", "not for demo", source)
	app := []string{
		"OS_AUTH_TYPE=v3applicationcredential", "OS_AUTH_URL=" + c.URL, "OS_REGION_NAME=RegionOne",
		"OS_APPLICATION_CREDENTIAL_ID=" + c.AppID, "OS_APPLICATION_CREDENTIAL_SECRET=" + c.AppSecret,
	}
	config := "OS_CLIENT_CONFIG_FILE=" + c.Config
	for _, account := range []struct {
		name string
		env  []string
		args []string
	}{
		{"clouds.yaml with a password", []string{config}, []string{"--os-cloud", "demo"}},
		{"clouds.yaml with an application credential", []string{config}, []string{"--os-cloud", "demo-app"}},
		{"OS_CLOUD", []string{config, "OS_CLOUD=demo"}, nil},
		{"variables with a password", c.environ(c.URL, "demo", "secret"), nil},
		{"variables with an application credential", app, nil},
	} {
		t.Run(account.name, func(t *testing.T) {
			m := mountEnv(t, account.env, account.args...)
			images := filepath.Join(m.Dir, "images")
			run(t, "cmp", source, filepath.Join(images, mine, "data"))
			run(t, "cmp", source, filepath.Join(m.Dir, "by-name/accounts/data"))
			if list := string(run(t, "ls", images)); !strings.Contains(list, mine) || strings.Contains(list, theirs) {
				t.Errorf("want %s listed and not %s:\n%s", mine, theirs, list)
			}
			out, err := try(nil, "cat", filepath.Join(images, theirs, "data"))
			if err == nil || !strings.Contains(err.Error(), "No such file or directory") {
				t.Errorf("another project's private image: %d bytes, error %v", len(out), err)
			}
			m.Stop(t)
			if log := m.Stderr.String(); strings.Contains(log, "secret") || strings.Contains(log, c.AppSecret) {
				t.Errorf("a secret is in the log:\n%s", log)
			}
		})
	}
}

// TestClients reads images that the command line clients made with a password.
func TestClients(t *testing.T) {
	t.Parallel()
	c := started(t, keystone)
	source, _ := noiseFile(t, 1234567)
	config := []string{"OS_CLIENT_CONFIG_FILE=" + c.Config}
	m := mountEnv(t, config, "--os-cloud", "demo", "--refresh", "1s")
	create := []string{"--disk-format", "raw", "--container-format", "bare", "--file", source}
	run(t, "ls", filepath.Join(m.Dir, "by-name"))

	if out, err := try(config, "openstack", append([]string{"--os-cloud", "demo", "image", "create", "by openstack"}, create...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	variables := c.environ(c.URL, "demo", "secret")
	if out, err := try(variables, "glance", append([]string{"image-create", "--name", "by glance"}, create...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"by openstack", "by glance"} {
		err := eventually(name, func() (bool, error) {
			list, err := try(nil, "ls", filepath.Join(m.Dir, "by-name"))
			return strings.Contains(string(list), name+"\n"), err
		})
		if err != nil {
			t.Fatal(err)
		}
		run(t, "cmp", source, filepath.Join(m.Dir, "by-name", name, "data"))
	}
}

// TestWrongPassword wants one line that says so, and nothing mounted.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	c := started(t, keystone)
	for name, account := range map[string][]string{
		"clouds.yaml": {"OS_CLIENT_CONFIG_FILE=" + c.Config, "OS_CLOUD=wrong"},
		"variables":   c.environ(c.URL, "demo", "not the secret"),
	} {
		line, err := refused(account, "--cache-dir", t.TempDir(), t.TempDir())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !regexp.MustCompile(`401|password`).MatchString(line) || strings.Contains(line, "not the secret") {
			t.Errorf("%s: want a line that names the reason and not the password, have %q", name, line)
		}
	}
}

// TestRevokedToken ends the token of a mounted file system before its time. The
// next reader gets its bytes, with a new one.
func TestRevokedToken(t *testing.T) {
	t.Parallel()
	c := started(t, keystone)
	source, want := noiseFile(t, 40<<20)
	id := c.Upload(t, "demo", "revoked", source)
	n := c.counter(t)
	m := mountEnv(t, c.environ(n.URL, "demo", "secret"))
	data := filepath.Join(m.Dir, "images", id, "data")
	sameAt(t, data, want, 0, 4096)
	before := n.Issued()
	if len(before) != 1 {
		t.Fatalf("%d tokens to mount and read, want 1", len(before))
	}
	if err := c.revoke(before[0]); err != nil {
		t.Fatal(err)
	}
	sameAt(t, data, want, 30<<20, 4096)
	run(t, "cmp", source, data)
	if after := n.Issued(); len(after) != 2 {
		t.Errorf("%d tokens after one was revoked, want 2", len(after))
	}
}

// Upload makes an image as a user of the project of the same name.
func (c *cloud) Upload(tb testing.TB, user, name, file string) (id string) {
	tb.Helper()
	token, err := c.token(user, user)
	if err != nil {
		tb.Fatal(err)
	}
	return c.Glance.Upload(tb, token, name, file)
}
