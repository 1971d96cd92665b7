package glanceapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

// A service that asks for more patience than there is gets no other try.
func TestUploadIsNotPutOff(t *testing.T) {
	s := glancetest.New(t)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: proxy.URL, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := create(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = c.Upload(ctx, id, strings.NewReader("data"), 4, glanceapi.UploadOptions{})
	if !glanceapi.Temporary(err) || ctx.Err() != nil {
		t.Errorf("a service that is to be asked again in an hour: %v", err)
	}
}
