package glanceapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakeKeystone issues tokens to the user demo, with the password hush, and to
// an application credential with that secret; beside it is an image service
// that takes them. It knows one token of its own, "given".
type fakeKeystone struct {
	url, image string
	stop       func()

	mu       sync.Mutex
	password string
	valid    map[string]bool
	issued   int
	status   int           // answered to every login, if not 0
	slow     time.Duration // how long a login takes
	deaf     bool          // the image service refuses every token
	uploads  []string      // what it was sent
}

func newFakeKeystone(t *testing.T) *fakeKeystone {
	k := &fakeKeystone{password: "hush", valid: map[string]bool{"given": true}}
	k.image = serve(t, k.serveImage).URL
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/auth/tokens", k.login)
	mux.HandleFunc("GET /v3/auth/tokens", k.show)
	s := httptest.NewServer(mux)
	k.stop = sync.OnceFunc(s.Close)
	t.Cleanup(k.stop)
	k.url = s.URL
	return k
}

func (k *fakeKeystone) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *fakeKeystone) revokeAll() { k.set(func() { clear(k.valid) }) }

func (k *fakeKeystone) serveImage(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	known := k.valid[r.Header.Get("X-Auth-Token")] && !k.deaf
	k.mu.Unlock()
	switch {
	case !known:
		answer(401, `{"message":"not authorized"}`)(w, r)
	case r.Method == "PUT":
		b, _ := io.ReadAll(r.Body)
		k.set(func() { k.uploads = append(k.uploads, string(b)) })
		answer(204, "")(w, r)
	case strings.HasSuffix(r.URL.Path, "/file"):
		answer(200, payload)(w, r)
	default:
		answer(200, `{"id":"`+id1+`"}`)(w, r)
	}
}

// login reads as much of a request as Keystone insists on.
func (k *fakeKeystone) login(w http.ResponseWriter, r *http.Request) {
	type user struct {
		ID, Name, Password string
		Domain             *struct{ ID, Name string }
	}
	var doc struct {
		Auth struct {
			Identity struct {
				Methods               []string
				Password              *struct{ User user }
				ApplicationCredential *struct {
					ID, Name, Secret string
					User             *user
				} `json:"application_credential"`
				Token *struct{ ID string }
			}
			Scope *struct {
				Project struct {
					ID, Name string
					Domain   *struct{ ID, Name string }
				}
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
		answer(400, err.Error())(w, r)
		return
	}
	id, scope := doc.Auth.Identity, doc.Auth.Scope
	k.mu.Lock()
	defer k.mu.Unlock()
	time.Sleep(k.slow)
	hasDomain := func(u *user) bool { return u.ID == "u1" || u.Name == "demo" && u.Domain != nil }
	var ok bool
	switch {
	case k.status != 0:
		answer(k.status, `{"error":{"message":"out of order"}}`)(w, r)
		return
	case id.Password != nil:
		ok = id.Password.User.Password == k.password && hasDomain(&id.Password.User)
	case id.ApplicationCredential != nil:
		a := id.ApplicationCredential
		ok = a.Secret == k.password && scope == nil && (a.ID == "ac" || a.Name == "ac" && a.User != nil && hasDomain(a.User))
	case id.Token != nil:
		ok = k.valid[id.Token.ID]
	}
	if scope != nil && scope.Project.ID != "p1" && (scope.Project.Name != "demo" || scope.Project.Domain == nil) {
		ok = false
	}
	if !ok {
		answer(401, `{"error":{"code":401,"message":"The request you have made requires authentication."}}`)(w, r)
		return
	}
	k.issued++
	token := fmt.Sprint("token-", k.issued)
	k.valid[token] = true
	answer(201, k.describe(scope != nil || id.ApplicationCredential != nil), "X-Subject-Token", token)(w, r)
}

// show is asked by the holder of a token about itself.
func (k *fakeKeystone) show(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	token := r.Header.Get("X-Subject-Token")
	if !k.valid[token] {
		answer(404, `{"error":{"message":"Could not find token."}}`)(w, r)
		return
	}
	answer(200, k.describe(true), "X-Subject-Token", token)(w, r)
}

// describe is the token's body: with a project a catalog of two regions.
func (k *fakeKeystone) describe(scoped bool) string {
	if !scoped {
		return `{"token":{"user":{"id":"u1"}}}`
	}
	endpoint := func(side, region, url string) string {
		return fmt.Sprintf(`{"interface":%q,"region":%q,"region_id":%q,"url":%q}`, side, region, region, url)
	}
	return `{"token":{"user":{"id":"u1"},"project":{"id":"p1"},"catalog":[
		{"type":"identity","name":"keystone","endpoints":[` + endpoint("public", "one", k.url) + `]},
		{"type":"image","name":"glance","endpoints":[` + strings.Join([]string{
		endpoint("internal", "one", "http://127.0.0.1:1"),
		endpoint("public", "one", k.image+"/v2"),
		endpoint("public", "two", "http://127.0.0.1:1"),
		endpoint("internal", "two", k.image),
	}, ",") + `]}]}}`
}
