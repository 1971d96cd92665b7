package glanceapi

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// writeClouds makes files in a fresh folder and points the environment there.
func writeClouds(t *testing.T, clouds, secure string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"clouds.yaml": clouds, "secure.yaml": secure} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(dir, "clouds.yaml"))
}

const cloudsText = `
clouds:
  plain:
    auth: {auth_url: KEYSTONE/v3, username: demo, password: hush, project_name: demo, user_domain_name: Default, project_domain_name: Default}
    region_name: one
  undomained:
    auth: {auth_url: KEYSTONE, username: demo, password: hush, project_name: demo}
    auth_type: v3password
  kept-secret:
    auth: {auth_url: KEYSTONE, username: demo, project_name: demo}
  credential:
    auth_type: v3applicationcredential
    auth: {auth_url: KEYSTONE, application_credential_id: ac, application_credential_secret: hush}
    region_name: two
    interface: internal
  token:
    auth_type: v3token
    auth: {auth_url: KEYSTONE, token: given}
    region_name: one
  elsewhere:
    auth: {auth_url: KEYSTONE, username: demo, password: hush, project_name: demo}
    region_name: three
    image_endpoint_override: IMAGE/v2
  fixed:
    auth_type: admin_token
    auth: {endpoint: IMAGE/v2, token: given}
  open:
    auth_type: none
    auth: {endpoint: IMAGE}
  wrong:
    auth: {auth_url: KEYSTONE, username: demo, password: wrong-hush, project_name: demo}
  empty: {}
  nowhere:
    auth_type: none
  strange:
    auth_type: v3kerberos
    auth: {auth_url: KEYSTONE}
  uncertain:
    auth: {auth_url: KEYSTONE, username: demo, password: hush, project_name: demo}
    cacert: /nonexistent.pem
`

const secureText = `
clouds:
  kept-secret:
    auth: {password: hush}
`

func TestClouds(t *testing.T) {
	for _, c := range []struct{ cloud, err string }{
		{"plain", ""}, {"undomained", ""}, {"kept-secret", ""}, {"credential", ""}, {"token", ""}, {"elsewhere", ""}, {"fixed", ""},
		{"open", "401 Unauthorized: not authorized"},
		{"wrong", "401 Unauthorized: wrong user name, password or project"},
		{"missing", `no cloud "missing" in `},
		{"empty", "cloud empty: it has no auth section"},
		{"nowhere", "needs auth.endpoint"},
		{"strange", `cloud strange: unknown auth type "v3kerberos"`},
		{"uncertain", "/nonexistent.pem"},
	} {
		t.Run(c.cloud, func(t *testing.T) {
			k := newFakeKeystone(t)
			setAccount(t, k, "OS_AUTH_URL", "")
			writeClouds(t, strings.NewReplacer("KEYSTONE", k.url, "IMAGE", k.image).Replace(cloudsText), secureText)
			client, err := New(t.Context(), Config{Cloud: c.cloud})
			if err == nil {
				defer client.Close()
				_, err = client.Image(t.Context(), id1)
			}
			switch {
			case c.err == "" && err != nil:
				t.Error(err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hush") || Temporary(err)):
				t.Errorf("%v, want %q", err, c.err)
			}
		})
	}
}

// A file that cannot be read must not show what is in it.
func TestCloudsBroken(t *testing.T) {
	for name, text := range map[string]string{
		"list for a password": "clouds:\n  c:\n    auth: {auth_url: 'http://127.0.0.1:1', username: u, password: [hush]}\n",
		"text for auth":       "clouds:\n  c:\n    auth: hush-hush\n",
		"no YAML":             "clouds: [\n",
		"empty":               "",
	} {
		writeClouds(t, text, "")
		if _, err := New(t.Context(), Config{Cloud: "c"}); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindClouds(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	env := map[string]string{"HOME": filepath.Join(dir, "home"), "XDG_CONFIG_HOME": ""}
	getenv := func(k string) string { return env[k] }
	want := func(file string) {
		t.Helper()
		if got, err := findClouds(getenv); err != nil || got != file {
			t.Errorf("%q, %v, want %q", got, err, file)
		}
	}
	touch := func(file string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(dir, "home/.config/openstack/clouds.yaml")
	touch(home)
	want(home)
	env["XDG_CONFIG_HOME"] = filepath.Join(dir, "xdg")
	xdg := filepath.Join(dir, "xdg/openstack/clouds.yml")
	touch(xdg)
	want(xdg)
	touch("clouds.yaml")
	want("clouds.yaml")
	env["OS_CLIENT_CONFIG_FILE"] = "/some/where"
	want("/some/where")
}

// clouds.yaml of a cloud behind TLS: most private ones have an authority of their
// own, some want a certificate of the client too, some are not verified.
func TestCloudsTLS(t *testing.T) {
	var shown atomic.Int64 // certificates of the client
	s := newTLSImage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown.Store(int64(len(r.TLS.PeerCertificates)))
		io.WriteString(w, versionList)
	}))
	cert, key := writeCert(t, s), filepath.Join(t.TempDir(), "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OS_CACERT", "")
	for _, c := range []struct {
		fields []string
		shows  int64
		err    string
	}{
		{[]string{"cacert: " + cert}, 0, ""},
		{[]string{"verify: false"}, 0, ""},
		{[]string{"verify: true"}, 0, "unknown authority"},
		{[]string{"verify: false", "cert: " + cert, "key: " + key}, 1, ""},
		{[]string{"verify: false", "cert: " + cert}, 0, "cert and key in clouds.yaml: "},
	} {
		fields := append(c.fields, "auth_type: none", fmt.Sprintf("auth: {endpoint: %q}", s.URL))
		writeClouds(t, "clouds:\n  c:\n    "+strings.Join(fields, "\n    ")+"\n", "")
		shown.Store(0)
		client, err := New(t.Context(), Config{Cloud: "c"})
		if err == nil {
			client.Close()
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || shown.Load() != c.shows {
			t.Errorf("%q: %v, %d certificates shown", c.fields, err, shown.Load())
		}
	}
}
