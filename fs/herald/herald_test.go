package herald

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
func TestEndsWithTheMount(t *testing.T) {
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		h := &Herald{in: ending{cancel}, log: slog.New(slog.DiscardHandler)}
		h.File(ctx, 1)
		h.Close()
		cancel()
	}
}
