package fs

import (
	"context"
	"errors"
	"log/slog"
	"testing"
)

// ending is an input of a process whose end comes while the mount ends.
type ending struct{ end context.CancelFunc }

func (ending) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func (e ending) Close() error {
	e.end()
	return nil
}

// A herald that ends while the mount does takes nothing along.
func TestHeraldEndsWithTheMount(t *testing.T) {
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		h := &herald{in: ending{cancel}, log: slog.New(slog.DiscardHandler)}
		h.file(ctx, 1)
		h.close()
		cancel()
	}
}
