package glanceapi

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// setAccount describes the user demo in the environment and hides what the
// machine has there.
func setAccount(t *testing.T, k *fakeKeystone, more ...string) {
	t.Helper()
	for _, v := range []string{"OS_CLOUD", "OS_CACERT", "OS_TOKEN", "OS_AUTH_TOKEN", "OS_AUTH_TYPE", "OS_USER_ID", "OS_USERID", "OS_PROJECT_ID", "OS_TENANT_ID",
		"OS_TENANT_NAME", "OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME", "OS_DOMAIN_ID", "OS_DOMAIN_NAME",
		"OS_DEFAULT_DOMAIN", "OS_DEFAULT_DOMAIN_ID", "OS_REGION_NAME", "OS_INTERFACE", "OS_ENDPOINT_TYPE",
		"OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_NAME", "OS_APPLICATION_CREDENTIAL_SECRET"} {
		t.Setenv(v, "")
	}
	t.Setenv("OS_AUTH_URL", k.url+"/v3")
	t.Setenv("OS_USERNAME", "demo")
	t.Setenv("OS_PASSWORD", "hush")
	t.Setenv("OS_PROJECT_NAME", "demo")
	for i := 0; i < len(more); i += 2 {
		t.Setenv(more[i], more[i+1])
	}
}

func TestLogin(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		err  string // in the error; "" for success
	}{
		{"password", nil, ""},
		{"password, no version", []string{"OS_AUTH_URL", "BASE"}, ""},
		{"password, user id", []string{"OS_USER_ID", "u1", "OS_USERNAME", ""}, ""},
		{"password, project id", []string{"OS_PROJECT_ID", "p1"}, ""},
		{"password, domains", []string{"OS_USER_DOMAIN_NAME", "Default", "OS_PROJECT_DOMAIN_ID", "default"}, ""},
		{"application credential", []string{"OS_APPLICATION_CREDENTIAL_ID", "ac", "OS_APPLICATION_CREDENTIAL_SECRET", "hush"}, ""},
		{"application credential by name", []string{"OS_APPLICATION_CREDENTIAL_NAME", "ac", "OS_APPLICATION_CREDENTIAL_SECRET", "hush", "OS_AUTH_TYPE", "v3applicationcredential"}, ""},
		{"token", []string{"OS_TOKEN", "given", "OS_PASSWORD", "", "OS_PROJECT_NAME", ""}, ""},
		{"token, scoped anew", []string{"OS_TOKEN", "given", "OS_AUTH_TYPE", "v3token"}, ""},
		{"interface", []string{"OS_INTERFACE", "internalURL", "OS_REGION_NAME", "two"}, ""},

		{"wrong password", []string{"OS_PASSWORD", "wrong-hush"}, "401 Unauthorized: wrong user name, password or project"},
		{"wrong secret", []string{"OS_APPLICATION_CREDENTIAL_ID", "ac", "OS_APPLICATION_CREDENTIAL_SECRET", "wrong-hush"}, "wrong or expired application credential"},
		{"wrong token", []string{"OS_TOKEN", "wrong-hush", "OS_PASSWORD", "", "OS_PROJECT_NAME", ""}, "the token is wrong, revoked or has expired"},
		{"wrong token, scoped", []string{"OS_TOKEN", "wrong-hush", "OS_PASSWORD", ""}, "the token is wrong, revoked or has expired"},
		{"no project", []string{"OS_PROJECT_NAME", ""}, "no project"},
		{"no password", []string{"OS_PASSWORD", ""}, "a password"},
		{"unknown region", []string{"OS_REGION_NAME", "three"}, "no public image endpoint in region three"},
		{"unknown auth type", []string{"OS_AUTH_TYPE", "v3kerberos"}, "v3kerberos"},
		{"no keystone", []string{"OS_AUTH_URL", "BASE/nothing"}, "404 Not Found"},
		{"password in the URL", []string{"OS_AUTH_URL", "http://demo:hush@127.0.0.1:1"}, "the auth URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newFakeKeystone(t)
			for i := range c.env {
				c.env[i] = strings.Replace(c.env[i], "BASE", k.url, 1)
			}
			setAccount(t, k, c.env...)
			client, err := New(t.Context(), Config{})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "\n") || Temporary(err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Image(t.Context(), id1); err != nil || client.Endpoint() != k.image {
				t.Errorf("%s, %v", client.Endpoint(), err)
			}
		})
	}
}

// What is not Keystone is not asked again and again.
func TestLoginNonsense(t *testing.T) {
	setAccount(t, newFakeKeystone(t), "OS_AUTH_URL", serve(t, answer(201, "<html>")).URL)
	if _, err := New(t.Context(), Config{}); err == nil || Temporary(err) || !strings.HasPrefix(err.Error(), "keystone http") {
		t.Errorf("%v", err)
	}
}

// An auth URL that leads elsewhere, as http where only https is served, is told with
// where it leads. Nothing is sent there: it would be the password.
func TestLoginRedirected(t *testing.T) {
	var asked atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/v3/auth/tokens?x", http.StatusMovedPermanently)
	})
	setAccount(t, newFakeKeystone(t), "OS_AUTH_URL", s.URL)
	_, err := New(t.Context(), Config{})
	if err == nil || !strings.Contains(err.Error(), "redirected to "+other.URL+"/v3/auth/tokens, which was not followed") {
		t.Errorf("%v", err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// However many callers have the same token refused, it is renewed once.
func TestRenewOnce(t *testing.T) {
	k := newFakeKeystone(t)
	setAccount(t, k)
	c := newClientOf(t, Config{})
	k.revokeAll()
	k.set(func() { k.slow = 50 * time.Millisecond })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Image(t.Context(), id1); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s := c.Stats(); s.Reauthentications != 1 || s.Retries != 0 {
		t.Errorf("%+v", s)
	}
	k.revokeAll()
	d, err := c.OpenData(t.Context(), id1, 0, 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	d.Body.Close()
	if s := c.Stats(); s.Reauthentications != 2 {
		t.Errorf("after another revocation: %+v", s)
	}
}

func TestRenewFails(t *testing.T) {
	for _, c := range []struct {
		name      string
		happens   func(k *fakeKeystone)
		temporary bool
	}{
		{"password changed", func(k *fakeKeystone) { k.password = "another" }, false},
		{"keystone down", func(k *fakeKeystone) { k.status = http.StatusServiceUnavailable }, true},
		{"keystone gone", func(k *fakeKeystone) { k.stop() }, true},
		{"keystone without a clue", func(k *fakeKeystone) { k.status = http.StatusNotFound }, false},
		{"the service refuses all tokens", func(k *fakeKeystone) { k.deaf = true }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newFakeKeystone(t)
			setAccount(t, k)
			client := newClientOf(t, Config{})
			k.revokeAll()
			k.set(func() { c.happens(k) })
			_, err := client.OpenData(t.Context(), id1, 0, 10, 10)
			if err == nil || Temporary(err) != c.temporary || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("temporary %v: %v", Temporary(err), err)
			}
			if got, want := errors.Is(err, fs.ErrPermission), c.name == "password changed"; got != want {
				t.Errorf("a refusal: %v, want %v: %v", got, want, err)
			}
			if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "token-") {
				t.Errorf("a secret shows: %v", err)
			}
		})
	}
}

// Keystone is not asked again at once when a renewal was no good, however many wait
// for one: it is in trouble, or the image service could not ask it.
func TestRenewInVain(t *testing.T) {
	for _, c := range []struct {
		name    string
		happens func(*fakeKeystone)
		says    string
	}{
		{"keystone down", func(k *fakeKeystone) { k.status = http.StatusServiceUnavailable }, "503 Service Unavailable"},
		{"the service refuses all tokens", func(k *fakeKeystone) { k.deaf = true }, "401 Unauthorized: not authorized"},
	} {
		k := newFakeKeystone(t)
		setAccount(t, k)
		client := newClientOf(t, Config{})
		k.revokeAll()
		k.set(func() { c.happens(k) })
		for range 30 {
			if _, err := client.OpenData(t.Context(), id1, 0, 10, 10); !Temporary(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if n := client.Stats().Reauthentications; n > 5 { // a machine that stands still lets some pauses pass
			t.Errorf("%s: %d renewals", c.name, n)
		}
	}
}

// A client made anew has the password of today, and goes on counting.
func TestReopen(t *testing.T) {
	k := newFakeKeystone(t)
	setAccount(t, k)
	old := newClientOf(t, Config{})
	if got, want := old.TokenExpires(), time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC); !got.Equal(want) {
		t.Errorf("the token ends %v, want %v", got, want)
	}
	k.set(func() { k.password = "another"; clear(k.valid) })
	if _, err := old.Image(t.Context(), id1); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("with the old password: %v", err)
	}
	if _, err := old.Reopen(t.Context(), Config{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("made anew with the old password: %v", err)
	}
	t.Setenv("OS_PASSWORD", "another")
	c, err := old.Reopen(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := old.Stats()
	if _, err := c.Image(t.Context(), id1); err != nil {
		t.Error(err)
	}
	if s := c.Stats(); s.MetadataRequests != before.MetadataRequests+1 || s.Answers[200] != before.Answers[200]+1 || s.Answers[401] == 0 {
		t.Errorf("%+v, before %+v", s, before)
	}
}

// A token from outside cannot be renewed: a 401 is final.
func TestFixedTokenRefused(t *testing.T) {
	c := newTestClient(t, answer(401, `{"message":"who are you"}`))
	_, err := c.Image(t.Context(), id1)
	if !errors.Is(err, fs.ErrPermission) || Temporary(err) || strings.Contains(err.Error(), "secret-token") {
		t.Errorf("%v", err)
	}
	if s := c.Stats(); s.MetadataRequests != 3 || s.Reauthentications != 0 {
		t.Errorf("%+v", s)
	}
}

// A token that has run out is renewed, and the data sent from its start.
func TestUploadRenewsToken(t *testing.T) {
	k := newFakeKeystone(t)
	setAccount(t, k)
	c := newClientOf(t, Config{Timeout: time.Second})
	k.revokeAll()
	data := strings.Repeat("0123456789", 100_000)
	if err := c.Upload(t.Context(), id1, strings.NewReader(data), int64(len(data)), UploadOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(k.uploads) != 1 || k.uploads[0] != data {
		t.Errorf("%d uploads", len(k.uploads))
	}
	k.set(func() { k.deaf = true })
	err := c.Upload(t.Context(), id1, strings.NewReader(data), int64(len(data)), UploadOptions{})
	if e, ok := refused(err, http.StatusUnauthorized); !ok || !e.Temporary() {
		t.Errorf("refused for ever: %v", err)
	}
	if n := c.Stats().Reauthentications; n < 2 {
		t.Errorf("%d renewals", n)
	}
}
