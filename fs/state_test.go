package fs

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestStateRefused: on a disk that does not take it, what is known is saved no more often
// than on another, and the log has one line.
func TestStateRefused(t *testing.T) {
	tr := planted(t, glancetest.New(t), t.TempDir(), 1<<30)
	var log bytes.Buffer
	tr.log, tr.cacheDir = slog.New(slog.NewTextHandler(&log, nil)), filepath.Join(t.TempDir(), "gone")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go tr.keepState(ctx, "")
		time.Sleep(10 * saveEvery)
		cancel()
	})
	if n := strings.Count(log.String(), "not saved"); n != 1 {
		t.Errorf("%d lines:\n%.1000s", n, log.String())
	}
}
