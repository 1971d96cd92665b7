package glanceapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
)

// When one of the open connections has gone silent the others are not tried after
// it, which may be as dead: a balancer has forgotten them all.
func TestSilentConnections(t *testing.T) {
	const open = 3
	var mu sync.Mutex
	dead := map[string]bool{} // addresses of the client's ends
	together := make(chan struct{})
	silent := make(chan struct{}, open)
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		isDead := dead[r.RemoteAddr]
		known := len(dead)
		if known < open {
			dead[r.RemoteAddr] = true
			if len(dead) == open {
				close(together)
			}
		}
		mu.Unlock()
		switch {
		case known < open:
			<-together
		case isDead:
			silent <- struct{}{}
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "data")
	})
	var all sync.WaitGroup
	for range open {
		all.Go(func() {
			if b, err := readData(t.Context(), c); string(b) != "data" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	all.Wait()

	errSilent := errors.New("silent")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-silent
		cancel(errSilent)
	}()
	if b, err := readData(ctx, c); !errors.Is(err, errSilent) || !Temporary(err) {
		t.Fatalf("on a dead connection: %q, %v", b, err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-silent:
			cancel(errSilent)
		case <-ctx.Done():
		}
	}()
	if b, err := readData(ctx, c); string(b) != "data" {
		t.Errorf("after a dead connection: %q, %v", b, err)
	}
}

func readData(ctx context.Context, c *Client) ([]byte, error) {
	d, err := c.OpenData(ctx, id1, 0, 4, 4)
	if err != nil {
		return nil, err
	}
	defer d.Body.Close()
	return io.ReadAll(d.Body)
}
