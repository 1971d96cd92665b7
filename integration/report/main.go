// Report makes tables and charts of what the benchmarks of glancefs measured.
// It is a module of its own, so that glancefs does not depend on what draws.
//
//	go run . FILE        prints the tables
//	go run . FILE DIR    writes them, with charts, to DIR/performance.md
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/template"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 && len(args) != 2 {
		return fmt.Errorf("usage: report FILE [DIR]")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if len(args) == 1 {
		for _, s := range r.scenarios() {
			fmt.Fprintf(out, "\n%s\n\n%s", s.Title(), s.Table())
		}
		_, err := fmt.Fprintf(out, "\nTimes of the others, in times that of glancefs\n\n%s", r.Ratios())
		return err
	}
	return r.publish(args[1])
}

//go:embed performance.md.tmpl
var page string

// publish writes the page and the charts that it shows.
func (r *report) publish(dir string) error {
	for _, c := range r.Charts() {
		if err := c.draw(filepath.Join(dir, c.File)); err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
	}
	t, err := template.New("performance.md").Parse(page)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "performance.md"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := t.Execute(f, r); err != nil {
		return err
	}
	return f.Close()
}
