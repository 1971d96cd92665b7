package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/urfave/cli/v2"
)

// manCommand writes the manual page, and the completion that fish wants, for who
// makes a package.
func manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Hidden: true, ArgsUsage: "TEMPLATE",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "fish"}},
		Action: func(c *cli.Context) error {
			if c.Bool("fish") {
				script, err := c.App.ToFishCompletion()
				if err == nil {
					_, err = io.WriteString(c.App.Writer, strings.ReplaceAll(script, "`", ""))
				}
				return err
			}
			path, err := one(c, "TEMPLATE")
			if err != nil {
				return err
			}
			page, err := manPage(c.App, path)
			if err != nil {
				return failure{err, exitSystem}
			}
			_, err = c.App.Writer.Write(page)
			return err
		},
	}
}

// manPage makes a manual page of a template in Markdown, whose functions version
// and commands are what only the program knows.
func manPage(app *cli.App, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := template.New(path).Funcs(template.FuncMap{
		"version":  func() string { return app.Version },
		"commands": func() string { return manCommands("glancefs", app.Commands) },
	}).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	if err := t.Execute(&page, nil); err != nil {
		return nil, err
	}
	return md2man.Render(page.Bytes()), nil
}

// manCommands describes commands, with their flags.
func manCommands(parent string, all []*cli.Command) string {
	var b strings.Builder
	for _, c := range all {
		if c.Hidden || c.Name == "help" {
			continue
		}
		name := parent + " " + c.Name
		if len(c.Subcommands) > 0 {
			b.WriteString(manCommands(name, c.Subcommands))
			continue
		}
		if len(c.VisibleFlags()) > 0 {
			name += " [*flags*]"
		}
		fmt.Fprintf(&b, "## %s %s\n\n%s.\n\n", name, c.ArgsUsage, sentence(c.Usage))
		if c.Description != "" {
			fmt.Fprintf(&b, "%s\n\n", c.Description)
		}
		for _, f := range c.VisibleFlags() {
			b.WriteString(manFlag(f))
		}
	}
	return b.String()
}

// manFlag describes one flag.
func manFlag(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || f.Names()[0] == "help" {
		return ""
	}
	// The usage has the value's name in backquotes, as cli wants it.
	usage, value := d.GetUsage(), "*VALUE*"
	if before, rest, ok := strings.Cut(usage, "`"); ok {
		name, after, _ := strings.Cut(rest, "`")
		usage, value = before+name+after, "*"+name+"*"
	}
	head := "**--" + f.Names()[0] + "**"
	if d.TakesValue() {
		head += "=" + value
	}
	if text := d.GetDefaultText(); d.TakesValue() && text != "" && text != `""` {
		usage += " (default: " + strings.Trim(text, `"`) + ")"
	}
	if env := d.GetEnvVars(); len(env) > 0 {
		usage += "; " + env[0]
	}
	return fmt.Sprintf("%s\n: %s.\n\n", head, strings.Join(strings.Fields(usage), " "))
}

// sentence begins with a capital.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
