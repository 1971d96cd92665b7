package command

import (
	"context"
	"os"
	"slices"
	"testing"

	"glancefs/fs/herald"
)

// TestMain makes the test binary a glancefs where a mount starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{workerName, probeName, herald.Command}, os.Args[1]) {
		os.Exit(Run(context.Background(), "test", os.Args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
