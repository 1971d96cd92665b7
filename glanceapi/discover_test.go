package glanceapi

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSplitEndpoint(t *testing.T) {
	for _, c := range []struct{ in, base, version, err string }{
		{"http://h:9292", "http://h:9292", "", ""},
		{" http://H:9292/ ", "http://h:9292", "", ""},
		{"http://h:9292/v2", "http://h:9292", "v2", ""},
		{"http://h:9292/v2.15//", "http://h:9292", "v2.15", ""},
		{"https://h/image/v2/", "https://h/image", "v2", ""},
		{"https://h/image", "https://h/image", "", ""},
		{"https://h/v2/image", "https://h/v2/image", "", ""},
		{"http://[::1]:9292/v1", "http://[::1]:9292", "v1", ""},
		{"h:9292", "", "", "not an http"},
		{"/v2", "", "", "not an http"},
		{"file:///x", "", "", "not an http"},
		{"http://u:hush@h", "", "", "password in it"},
		{"http://h/?a=b", "", "", "query"},
		{"http://h:hush%zz", "", "", "not an http"},
	} {
		base, version, err := splitEndpoint(c.in)
		if c.err == "" && (err != nil || base != c.base || version != c.version) {
			t.Errorf("%q: %q, %q, %v", c.in, base, version, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%q: %v", c.in, err)
		}
	}
}

func TestDiscover(t *testing.T) {
	old := `{"versions":[{"id":"v1.1","status":"CURRENT"},{"id":"v1.0","status":"SUPPORTED"}]}`
	both := `{"versions":[{"id":"v2.6","status":"CURRENT"},{"id":"v1.1","status":"DEPRECATED"}]}`
	for _, c := range []struct {
		name, path string // of the endpoint
		want       string // Config.APIVersion
		got        string // the version that is spoken then
		versions   http.HandlerFunc
		root       http.HandlerFunc
		images     http.HandlerFunc // nil where nobody is to ask for them
		err        string
	}{
		{"200", "", "", "v2", answer(200, versionList), nil, nil, ""},
		{"300", "/", "", "v2", answer(300, versionList), nil, nil, ""},
		{"with a version", "/v2/", "", "v2", answer(200, versionList), nil, nil, ""},
		{"below a path", "/image/v2", "", "v2", answer(200, versionList), nil, answer(200, noImages), ""},
		{"only at the root", "", "", "v2", answer(404, ""), answer(300, versionList), nil, ""},
		{"hidden, but named", "/v2", "", "v2", answer(403, ""), answer(401, ""), answer(200, noImages), ""},
		{"hidden", "", "auto", "", answer(403, ""), answer(403, ""), nil, "403 Forbidden"},
		{"v1 only", "", "auto", "v1", answer(300, old), nil, nil, ""},
		{"v1 only, named v2", "/v2", "", "v1", answer(300, old), nil, nil, ""},
		{"v1 only, v2 wanted", "", "v2", "", answer(300, old), nil, nil, "speaks only v1.1, v1.0, not v2"},
		{"both, v1 wanted", "", "v1", "v1", answer(200, both), nil, nil, ""},
		{"both", "/v1", "auto", "v2", answer(200, both), nil, nil, ""},
		{"v2 only, v1 wanted", "", "v1", "", answer(200, versionList), nil, nil, "speaks only v2.15, not v1"},
		{"neither", "", "", "", answer(200, `{"versions":[{"id":"v3"}]}`), nil, nil, "speaks only v3, not v1 or v2"},
		{"no versions", "", "", "v1", answer(404, ""), answer(200, `{"images":[]}`), nil, ""},
		{"no versions, v2 wanted", "", "v2", "", answer(404, ""), answer(200, `{"images":[]}`), nil, "speaks only v1 without a version, not v2"},
		{"keystone", "", "auto", "", answer(300, `{"versions":{"values":[{"id":"v3.14"}]}}`), answer(300, `{"versions":{"values":[]}}`), nil, "not an image service"},
		{"a web page", "", "auto", "", answer(200, "<html>"), answer(200, "<html>hello"), nil, "not an image service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			prefix := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(c.path, "/"), "/v2"), "/v1")
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == prefix+"/versions":
					c.versions(w, r)
				case r.URL.Path == prefix+"/" && c.root != nil:
					c.root(w, r)
				case r.URL.Path == prefix+"/v2/images" && r.URL.RawQuery == "limit=1" && c.images != nil:
					c.images(w, r)
				default:
					http.NotFound(w, r)
				}
			}))
			defer s.Close()
			client, err := New(t.Context(), Config{Endpoint: s.URL + c.path, APIVersion: c.want})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "image service "+s.URL) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if client.Endpoint() != s.URL+prefix || client.Version() != c.got || client.TakesUUIDs() != (c.got == "v2") {
				t.Errorf("%s, %s", client.Endpoint(), client.Version())
			}
		})
	}
}

// A list of versions is no proof that there are images for this token, at this
// path, or, where it is hidden, at all.
func TestDiscoverProof(t *testing.T) {
	listed := func(images http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/versions") {
				answer(200, versionList)(w, r)
				return
			}
			images(w, r)
		}
	}
	byToken := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(tokenHeader) != "hush-good" {
			answer(401, `{"message":"who are you"}`)(w, r)
			return
		}
		answer(200, noImages)(w, r)
	}
	for _, c := range []struct {
		name, path, token string
		h                 http.HandlerFunc
		err               string // in the error; "" for success
		is                error
	}{
		{"good token", "", "hush-good", listed(byToken), "", nil},
		{"good token and path", "/image/v2", "hush-good", listed(byToken), "", nil},
		{"good token, hidden list", "/v2", "hush-good", byToken, "", nil},
		{"images", "/image", "", listed(answer(200, pageJSON(true, id1))), "", nil},
		{"bad token", "", "hush-bad", listed(byToken), "GET /v2/images: 401 Unauthorized: who are you", fs.ErrPermission},
		{"bad token, hidden list", "/v2", "hush-bad", byToken, "GET /v2/images: 401 Unauthorized: who are you", fs.ErrPermission},
		{"a list under every path", "/wrong", "", answer(300, versionList), "GET /wrong/v2/images: 300 Multiple Choices", nil},
		{"a list under every path, named v2", "/wrong/v2", "", answer(300, versionList), "GET /wrong/v2/images: 300 Multiple Choices", nil},
		{"a web page, named v2", "/v2", "", answer(200, "<html>hello"), "this is not an image service", nil},
		{"other JSON, named v2", "/v2", "", answer(200, `{"images":null}`), "this is not an image service", nil},
		{"nothing, named v2", "/v2", "", http.NotFound, "GET /v2/images: 404 Not Found", fs.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(c.h)
			defer s.Close()
			client, err := New(t.Context(), Config{Endpoint: s.URL + c.path, Token: c.token})
			if c.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				client.Close()
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "image service "+s.URL) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hush") || Temporary(err) {
				t.Fatalf("%v, want %q", err, c.err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
		})
	}
}

// A service that lists versions but cannot list images is given up soon, also
// without a timeout for metadata.
func TestNewListDown(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/versions", answer(200, versionList))
	mux.HandleFunc("/v2/images", answer(503, "no database"))
	s := httptest.NewServer(mux)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := New(ctx, Config{Endpoint: s.URL, Token: "t"})
	if !Temporary(err) || !strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Errorf("%v", err)
	}
}

// What went wrong has to fit one line that a user of mount understands.
func TestNewUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := New(t.Context(), Config{Endpoint: s.URL + "/v2"})
	if err == nil || err.Error() != "image service "+s.URL+": connection refused" || !Temporary(err) {
		t.Errorf("%v", err)
	}
}

func TestNewVersionUnknown(t *testing.T) {
	if _, err := New(t.Context(), Config{Endpoint: "http://127.0.0.1:1", APIVersion: "v3"}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestNewWithoutAnything(t *testing.T) {
	for _, v := range []string{"OS_CLOUD", "OS_AUTH_URL", "OS_CACERT"} {
		t.Setenv(v, "")
	}
	if _, err := New(t.Context(), Config{}); err == nil || !strings.Contains(err.Error(), "OS_AUTH_URL") {
		t.Errorf("%v", err)
	}
}

func TestTLS(t *testing.T) {
	s := newTLSImage(t, answer(http.StatusOK, versionList))
	_, err := New(t.Context(), Config{Endpoint: s.URL})
	if err == nil || Temporary(err) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	c, err := New(t.Context(), Config{Endpoint: s.URL, CACert: writeCert(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
