package fs

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client makes a client of s that gives up soon.
func client(t *testing.T, s *glancetest.Server) *glanceapi.Client {
	t.Helper()
	c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: s.URL, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s.Reset()
	return c
}
