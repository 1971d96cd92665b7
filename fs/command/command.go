// Package command is the command line: it turns flags and environment into
// what cache, glanceapi and fs are made of, and their errors into one line and
// an exit status.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Exit statuses, as mount(8) has them.
const (
	exitUsage  = 1 // or no permission
	exitSystem = 2
	exitMount  = 32
)

// failure is an error and the exit status that goes with it.
type failure struct {
	error
	status int
}

func (f failure) Unwrap() error { return f.error }

// errTold is the error of which the user has been told already.
var errTold = errors.New("told")

// Run is the program but for its process; it returns the exit status. version
// is what the version command prints.
func Run(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	app := &cli.App{
		Name: "glancefs", Usage: "an OpenStack image service, mounted as files",
		Version: version, HideVersion: true, Writer: stdout, ErrWriter: stderr,
		Flags:    []cli.Flag{&cli.BoolFlag{Name: versionFlag, Usage: "print the version, as the command does", DisableDefaultText: true}},
		Commands: commands(), EnableBashCompletion: true, Action: noCommand(cli.ShowAppHelp),
		OnUsageError:   wrongFlag,
		ExitErrHandler: func(*cli.Context, error) {}, // done below
	}
	for _, c := range app.Commands {
		c.OnUsageError, c.HideHelpCommand = wrongFlag, true
		for _, sub := range c.Subcommands {
			sub.OnUsageError, sub.Before = wrongFlag, noSurplus
		}
		if len(c.Subcommands) > 0 {
			c.Action = noCommand(cli.ShowSubcommandHelp)
		} else {
			c.Before = noSurplus
		}
	}
	err := run(ctx, app, args)
	if err == nil {
		return 0
	}
	status, f := exitUsage, failure{}
	if errors.As(err, &f) {
		status = f.status
	}
	if f.error != errTold {
		fmt.Fprintln(stderr, "glancefs:", strings.TrimSpace(err.Error())) // go-fuse's have a line break
	}
	return status
}

func commands() []*cli.Command {
	return []*cli.Command{
		mountCommand(), umountCommand(), warmCommand(), statusCommand(), upgradeCommand(), cacheCommand(), demoCommand(),
		versionCommand(), probeCommand(), heraldCommand(), workerCommand(), manCommand(),
	}
}

// run runs a command line, or one that mount(8) has made of a line of fstab.
func run(ctx context.Context, app *cli.App, args []string) error {
	if !calledByMount(args) {
		return app.RunContext(ctx, args)
	}
	line, err := parseMountLine(args[1:])
	if err != nil {
		return err
	}
	args, err = line.arguments(mountCommand().Flags)
	if err != nil || args == nil {
		return err
	}
	return app.RunContext(ctx, append([]string{"glancefs"}, args...))
}

// noCommand is for a command line that ends before a command, or goes on with none.
func noCommand(help cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		switch {
		case c.Args().Present():
			return fmt.Errorf("no such command: %s", c.Args().First())
		case c.Bool(versionFlag):
			return printVersion(c)
		}
		return help(c)
	}
}

// noSurplus refuses what a command that takes no arguments is given.
func noSurplus(c *cli.Context) error {
	if c.Command.ArgsUsage == "" && c.Args().Present() {
		return fmt.Errorf("%s takes no argument: %q is one too many", c.Command.Name, c.Args().First())
	}
	return nil
}

// versionFlag is what those try first who do not know of the command.
const versionFlag = "version"

func versionCommand() *cli.Command {
	return &cli.Command{Name: "version", Usage: "print the version", Action: printVersion}
}

func printVersion(c *cli.Context) error {
	_, err := fmt.Fprintln(c.App.Writer, "glancefs", c.App.Version)
	return err
}

// one returns the only argument of a command, called what in its usage.
func one(c *cli.Context, what string) (string, error) {
	switch c.NArg() {
	case 0:
		return "", fmt.Errorf("%s takes one argument, %s", c.Command.Name, what)
	case 1:
	default:
		return "", fmt.Errorf("%s takes one argument, %s: %q is one too many; flags go before it", c.Command.Name, what, c.Args().Get(1))
	}
	if c.Args().First() == "" { // which would be the current directory
		return "", fmt.Errorf("%s takes a %s, and what it is given is empty", c.Command.Name, what)
	}
	return c.Args().First(), nil
}
