package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A cloud is a Keystone and the Glance that asks it. Its users demo and other
// are members of the projects of their names; every password is "secret".
type cloud struct {
	Glance *glance
	URL    string // of Keystone's v3
	Config string // a clouds.yaml with the clouds demo, other, demo-app and wrong

	AppID, AppSecret string // demo's application credential
	admin            string // token
}

// newCloud starts both servers and fills Keystone.
func newCloud() (*cloud, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	glance := make(chan error, 1)
	c := &cloud{URL: "http://127.0.0.1:" + port + "/v3", Config: filepath.Join(scratch(), "clouds.yaml")}
	go func() {
		var err error
		c.Glance, err = newGlance("keystone", port)
		glance <- err
	}()
	dir := filepath.Join(scratch(), "identity")
	err = serve(c.URL, dir+".log", "keystone.sh", dir, port)
	if err2 := <-glance; err == nil {
		err = err2
	}
	if err != nil {
		return nil, err
	}
	if c.admin, err = c.token("admin", "admin"); err != nil {
		return nil, err
	}
	if err := c.fill(); err != nil {
		return nil, fmt.Errorf("filling keystone: %w", err)
	}
	return c, os.WriteFile(c.Config, []byte(c.cloudsYAML()), 0o600)
}

// fill makes the projects, their users, the image service with its endpoint and
// the application credential.
func (c *cloud) fill() error {
	users := map[string]string{}
	for _, m := range []struct{ user, project, role string }{
		{"demo", "demo", "member"}, {"other", "other", "member"}, {"glance", "service", "admin"},
	} {
		var err error
		if users[m.user], err = c.addUser(m.user, m.project, m.role); err != nil {
			return err
		}
	}
	service, err := c.create("service", object{"name": "glance", "type": "image"})
	if err != nil {
		return err
	}
	if _, err = c.create("endpoint", object{
		"service_id": service, "region_id": "RegionOne", "interface": "public", "url": c.Glance.URL,
	}); err != nil {
		return err
	}
	return c.fillAppCredential(users["demo"])
}

// addUser makes a project, and a user who has a role in it.
func (c *cloud) addUser(user, project, role string) (id string, err error) {
	var got struct{ Roles []struct{ ID string } }
	if _, err := c.call(c.admin, "GET", "/roles?name="+role, nil, &got); err != nil {
		return "", err
	}
	if len(got.Roles) != 1 {
		return "", fmt.Errorf("%d roles %s", len(got.Roles), role)
	}
	in, err := c.create("project", object{"name": project})
	if err != nil {
		return "", err
	}
	if id, err = c.create("user", object{"name": user, "password": "secret"}); err != nil {
		return "", err
	}
	_, err = c.call(c.admin, "PUT", "/projects/"+in+"/users/"+id+"/roles/"+got.Roles[0].ID, nil, nil)
	return id, err
}

// fillAppCredential makes demo's application credential, which only demo may.
func (c *cloud) fillAppCredential(user string) error {
	demo, err := c.token("demo", "demo")
	if err != nil {
		return err
	}
	var made struct {
		Credential struct{ ID, Secret string } `json:"application_credential"`
	}
	_, err = c.call(demo, "POST", "/users/"+user+"/application_credentials",
		object{"application_credential": object{"name": "glancefs"}}, &made)
	c.AppID, c.AppSecret = made.Credential.ID, made.Credential.Secret
	return err
}

func (c *cloud) cloudsYAML() string {
	password := func(name, user, password string) string {
		return fmt.Sprintf(`  %s:
    region_name: RegionOne
    auth:
      auth_url: %s
      username: %s
      password: %s
      project_name: %s
      user_domain_name: Default
      project_domain_name: Default
`, name, c.URL, user, password, user)
	}
	return "clouds:\n" + password("demo", "demo", "secret") + password("other", "other", "secret") +
		password("wrong", "demo", "not the secret") + fmt.Sprintf(`  demo-app:
    region_name: RegionOne
    auth_type: v3applicationcredential
    auth:
      auth_url: %s
      application_credential_id: %s
      application_credential_secret: %s
`, c.URL, c.AppID, c.AppSecret)
}

// environ is the OS_* variables of a user of the project of the same name.
func (c *cloud) environ(authURL, user, password string) []string {
	return []string{
		"OS_AUTH_URL=" + authURL, "OS_IDENTITY_API_VERSION=3", "OS_REGION_NAME=RegionOne",
		"OS_USERNAME=" + user, "OS_PASSWORD=" + password, "OS_USER_DOMAIN_NAME=Default",
		"OS_PROJECT_NAME=" + user, "OS_PROJECT_DOMAIN_NAME=Default",
	}
}

// object is a JSON object.
type object map[string]any

// create makes one thing and returns its id.
func (c *cloud) create(kind string, o object) (id string, err error) {
	made := map[string]struct{ ID string }{}
	_, err = c.call(c.admin, "POST", "/"+kind+"s", object{kind: o}, &made)
	return made[kind].ID, err
}

// token logs in with a password.
func (c *cloud) token(user, project string) (string, error) {
	domain := object{"id": "default"}
	head, err := c.call("", "POST", "/auth/tokens", object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{
			"user": object{"name": user, "password": "secret", "domain": domain},
		}},
		"scope": object{"project": object{"name": project, "domain": domain}},
	}}, nil)
	return head.Get("X-Subject-Token"), err
}

// revoke ends a token before its time.
func (c *cloud) revoke(token string) error {
	r, err := http.NewRequest("DELETE", c.URL+"/auth/tokens", nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Auth-Token", c.admin)
	r.Header.Set("X-Subject-Token", token)
	_, err = answer(r, nil)
	return err
}

// call is one request to Keystone. in and out may be nil.
func (c *cloud) call(token, method, path string, in object, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, c.URL+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Auth-Token", token)
	return answer(r, out)
}

// answer sends a request that has to succeed and decodes what comes, unless out
// is nil.
func answer(r *http.Request, out any) (http.Header, error) {
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return nil, err
	}
	if a.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %s", r.Method, r.URL.Path, a.Status, body)
	}
	if out == nil {
		return a.Header, nil
	}
	return a.Header, json.Unmarshal(body, out)
}

// A counter stands before Keystone and remembers the tokens it gives out.
type counter struct {
	URL string // of Keystone's v3, through the counter

	mu     sync.Mutex
	issued []string
}

func (c *cloud) counter(tb testing.TB) *counter {
	tb.Helper()
	target, err := url.Parse(c.URL)
	if err != nil {
		tb.Fatal(err)
	}
	n := &counter{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		ModifyResponse: func(a *http.Response) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			if token := a.Header.Get("X-Subject-Token"); a.Request.Method == "POST" && token != "" {
				n.issued = append(n.issued, token)
			}
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	tb.Cleanup(server.Close)
	n.URL = server.URL + target.Path
	return n
}

// Issued returns the tokens given out so far, the oldest first.
func (n *counter) Issued() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.issued...)
}
