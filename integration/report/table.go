package main

import (
	"fmt"
	"slices"
	"strings"
)

// A table is rows of cells, of which the first has the headings.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

// String is the table in Markdown, in columns for those who read it as it is.
func (t table) String() string {
	if len(t) < 2 {
		return ""
	}
	width := make([]int, len(t[0]))
	for _, row := range t {
		for i, c := range row {
			width[i] = max(width[i], len([]rune(c)), 3)
		}
	}
	var b strings.Builder
	for n, row := range t {
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(c)))
			if i < 2 {
				fmt.Fprintf(&b, "| %s%s ", c, pad)
			} else {
				fmt.Fprintf(&b, "| %s%s ", pad, c)
			}
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i := range row {
			if i < 2 {
				fmt.Fprintf(&b, "|%s", strings.Repeat("-", width[i]+2))
			} else {
				fmt.Fprintf(&b, "|%s:", strings.Repeat("-", width[i]+1))
			}
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// Table has a row for each link and tool.
func (s *scenario) Table() string {
	t := table{{"link", "tool", "time", "times glancefs", "CPU s/GiB", "afterwards", "origin MB", "of what was read", "requests", "memory MB", "runs"}}
	last := ""
	for _, c := range s.Cells {
		link := spoken(c.Link.Name)
		if link == last {
			link = ""
		} else {
			last = link
		}
		ratio := "–"
		if ours := s.ours(c); ours != nil {
			ratio = short(c.seconds() / ours.seconds())
		}
		during, after := c.cpu()
		t.add(link, c.Tool, duration(c.seconds()), ratio, orNone(during), orNone(after),
			fmt.Sprintf("%.1f", c.sent()/1e6), short(c.sent()/float64(c.Payload)), fmt.Sprintf("%.0f", c.requests()), orNone(c.peak()/1e6), fmt.Sprint(len(c.Samples)))
	}
	return t.String()
}

// Ratios has a row for each scenario and link, with how many times glancefs'
// time the others need.
func (r *report) Ratios() string {
	common := []string{"curl", "rclone off", "rclone full", "nbdkit"}
	t := table{append(append([]string{"scenario", "link", "glancefs"}, common...), "other")}
	for _, s := range r.scenarios() {
		for _, link := range s.links() {
			ours := s.cell(link, glancefs)
			if ours == nil {
				continue
			}
			row := []string{s.Name, spoken(link), duration(ours.seconds())}
			for _, tool := range common {
				row = append(row, ratio(s.cell(link, tool), ours))
			}
			other := "–"
			for _, c := range s.Cells {
				if c.Link.Name == link && c != ours && !slices.Contains(common, c.Tool) {
					other = c.Tool + " " + ratio(c, ours)
				}
			}
			t.add(append(row, other)...)
		}
	}
	return t.String()
}

func ratio(c, ours *cell) string {
	if c == nil {
		return "–"
	}
	return short(c.seconds() / ours.seconds())
}

func duration(seconds float64) string {
	switch {
	case seconds < 0.0995:
		return short(seconds*1e3) + " ms"
	default:
		return short(seconds) + " s"
	}
}

// short is v with three digits.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func orNone(v float64) string {
	if v < 0.005 {
		return "–"
	}
	return short(v)
}
