// Command glancefs mounts an OpenStack image service as files.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"glancefs/fs/command"
)

// version is set by the linker.
var version = "devel"

func main() {
	// A log that nobody reads any more must not end a mount.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command.Run(ctx, version, os.Args, os.Stdout, os.Stderr))
}
