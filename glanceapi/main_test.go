package glanceapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	id1 = "11111111-1111-4111-8111-111111111111"
	id2 = "22222222-2222-4222-8222-222222222222"

	versionList = `{"versions":[{"id":"v2.15","status":"CURRENT","links":[{"rel":"self","href":"http://elsewhere.example/v2/"}]}]}`
	noImages    = `{"images":[]}`
)

// newTestClient serves h and returns a Client of it, which has sent two requests:
// it has a token, so it looked for the versions and whether images are listed.
func newTestClient(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	return newClientOf(t, Config{Endpoint: serve(t, h).URL, Token: "secret-token", Timeout: 20 * time.Second})
}

func newClientOf(t *testing.T, conf Config) *Client {
	t.Helper()
	c, err := New(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve serves h, beside what New asks for: the versions, and one image at most.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/images", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "limit=1" {
			io.WriteString(w, noImages)
			return
		}
		h(w, r)
	})
	mux.HandleFunc("GET /versions", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, versionList) })
	mux.HandleFunc("/", h)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// answer is a handler of one fixed answer.
func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}
