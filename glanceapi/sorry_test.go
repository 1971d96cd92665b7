package glanceapi_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
)

// TestSorryPage has a proxy say 200 to everything, and that it is sorry. That is no
// image, no data, and nothing is done by it.
func TestSorryPage(t *testing.T) {
	for _, api := range []string{"v1", "v2"} {
		t.Run(api, func(t *testing.T) {
			s := glancetest.New(t)
			id := s.Add(t, "one", pattern(1000), ownedBy("p"))
			var sorry atomic.Bool
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !sorry.Load() {
					s.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "text/plain")
				http.NewResponseController(w).Flush() // so that it has no length
				io.WriteString(w, strings.Repeat("We are sorry.\n", 100))
			}))
			defer h.Close()
			c, err := glanceapi.New(t.Context(), glanceapi.Config{Endpoint: h.URL, Token: "u:p:member,admin", APIVersion: api, Timeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			sorry.Store(true)
			for name, do := range map[string]func() error{
				"image": func() error { _, err := c.Image(t.Context(), id); return err },
				"data": func() error {
					d, err := c.OpenData(t.Context(), id, 0, 1000, 1000)
					if err == nil {
						d.Body.Close()
					}
					return err
				},
				"list": func() error {
					for _, err := range c.Images(t.Context(), glanceapi.Query{}) {
						return err
					}
					return nil
				},
				"create":  func() error { _, err := c.Create(t.Context(), glanceapi.NewImage{Name: "two"}); return err },
				"update":  func() error { _, err := c.Update(t.Context(), id, glanceapi.Change{Name: new("two")}); return err },
				"delete":  func() error { return c.Delete(t.Context(), id) },
				"members": func() error { _, err := c.Members(t.Context(), id); return err },
				"add":     func() error { return c.AddMember(t.Context(), id, glanceapi.Member{ID: "q"}) },
				"set": func() error {
					m := glanceapi.Member{ID: "q", CanShare: new(true)}
					if api == "v2" {
						m = glanceapi.Member{ID: "q", Status: "accepted"}
					}
					return c.SetMember(t.Context(), id, m)
				},
				"remove": func() error { return c.RemoveMember(t.Context(), id, "q") },
			} {
				if err := do(); err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
