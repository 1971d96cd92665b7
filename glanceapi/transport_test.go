package glanceapi

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newTLSImage serves h with a certificate nobody knows, and keeps quiet about
// clients that do not like it. It asks for theirs and does without.
func newTLSImage(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// writeCert returns a file with s's certificate.
func writeCert(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTrustBadFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + ".missing"} {
		if _, err := trust(file); err == nil {
			t.Errorf("%s is taken for certificates", file)
		}
	}
}

// What a proxy does is not said of the image service.
func TestProxyErrors(t *testing.T) {
	refuses := httptest.NewServer(answer(http.StatusForbidden, ""))
	defer refuses.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for address, want := range map[string]string{
		refuses.URL: "the proxy " + strings.TrimPrefix(refuses.URL, "http://") + ": 403 Forbidden",
		gone.URL:    "the proxy that the environment names: connection refused",
	} {
		proxy, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		proxy.User = url.UserPassword("me", "secret")
		c := newHTTPClient(nil)
		c.Transport.(*http.Transport).Proxy = http.ProxyURL(proxy)
		_, err = c.Get("https://image.example")
		if e := netError(t.Context(), "GET /", "", err); unreachable(e.Err).Error() != want {
			t.Errorf("%v, not %s", unreachable(e.Err), want)
		}
	}
}
