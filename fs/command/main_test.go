package command

import (
	"context"
	"os"
	"testing"
)

// TestMain makes the test binary a glancefs where a mount starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerName {
		os.Exit(Run(context.Background(), "test", os.Args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
