package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// A report is the file that the benchmarks write; the types are those of
// bench_result_test.go as far as they are needed here.
type report struct {
	Machine struct {
		CPU      string            `json:"cpu"`
		Cores    int               `json:"cores"`
		Memory   string            `json:"memory"`
		Kernel   string            `json:"kernel"`
		Versions map[string]string `json:"versions"`
		Date     string            `json:"date"`
	} `json:"machine"`
	Cells []*cell `json:"cells"`
}

// A cell is one tool in one scenario over one link.
type cell struct {
	Scenario string `json:"scenario"`
	Link     struct {
		Name string `json:"name"`
	} `json:"link"`
	Tool    string   `json:"tool"`
	Image   int64    `json:"image"`
	Payload int64    `json:"payload"`
	Samples []sample `json:"samples"`
}

type sample struct {
	Time     time.Duration `json:"time"`
	Reader   time.Duration `json:"reader_cpu"`
	Daemon   time.Duration `json:"daemon_cpu"`
	After    time.Duration `json:"after_cpu"`
	Peak     int64         `json:"peak"`
	Bytes    int64         `json:"bytes"`
	Requests int           `json:"requests"`
}

// glancefs is the tool that the others are compared with.
const glancefs = "glancefs"

// median is that of what of returns for each sample.
func (c *cell) median(of func(sample) float64) float64 {
	var v []float64
	for _, s := range c.Samples {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

func (c *cell) seconds() float64 { return c.median(func(s sample) float64 { return s.Time.Seconds() }) }
func (c *cell) gib() float64     { return float64(c.Payload) / (1 << 30) }
func (c *cell) sent() float64    { return c.median(func(s sample) float64 { return float64(s.Bytes) }) }
func (c *cell) peak() float64    { return c.median(func(s sample) float64 { return float64(s.Peak) }) }
func (c *cell) requests() float64 {
	return c.median(func(s sample) float64 { return float64(s.Requests) })
}

// cpu is in seconds for each GiB that readers got: of readers and of what
// serves them, and what that used afterwards.
func (c *cell) cpu() (during, after float64) {
	during = c.median(func(s sample) float64 { return (s.Reader + s.Daemon).Seconds() })
	after = c.median(func(s sample) float64 { return s.After.Seconds() })
	return during / c.gib(), after / c.gib()
}

// A scenario is the cells of one, in the order in which they were measured.
type scenario struct {
	Name  string
	Cells []*cell
}

// titles says what the scenarios are, for people.
func titles() map[string]string {
	return map[string]string{
		"ColdSequential":    "Cold, sequential: dd of an image of 256 MiB",
		"ColdCopy":          "Cold copy: cp of an image of 256 MiB to the disk",
		"ColdEight":         "Cold, eight readers at once of an image of 256 MiB",
		"ColdEightApart":    "Cold, eight readers of an image of 256 MiB, started a second apart",
		"ColdRandom":        "Cold, random: pages of 4 KiB of an image of 3 GiB, one after the other",
		"Boot":              "A boot, through the page cache (qemu's cache=writeback)",
		"BootDirect":        "A boot, past the page cache (qemu's cache=none)",
		"RefusedSequential": "A store that cannot seek: dd of an image of 256 MiB",
		"RefusedFirst":      "A store that cannot seek: the first MiB",
		"WarmSequential":    "Warm, sequential: dd of an image of 256 MiB",
		"WarmRandom":        "Warm, random: pages of 4 KiB",
		"CopyingSequential": "Warm, sequential, not by passthrough",
		"CopyingRandom":     "Warm, random, not by passthrough",
		"AskedSequential":   "Warm, sequential, not by passthrough, and the kernel remembers nothing",
		"AskedRandom":       "Warm, random, not by passthrough, and the kernel remembers nothing",
		"Memory":            "64 readers of 64 images of 16 MiB at once",
	}
}

func (s *scenario) Title() string { return cmp.Or(titles()[s.Name], s.Name) }

func (r *report) scenarios() (list []*scenario) {
	for _, c := range r.Cells {
		if len(c.Samples) == 0 {
			continue
		}
		if len(list) == 0 || list[len(list)-1].Name != c.Scenario {
			list = append(list, &scenario{Name: c.Scenario})
		}
		last := list[len(list)-1]
		last.Cells = append(last.Cells, c)
	}
	return list
}

// Scenario returns one by name, without cells if it was not measured.
func (r *report) Scenario(name string) *scenario {
	for _, s := range r.scenarios() {
		if s.Name == name {
			return s
		}
	}
	return &scenario{Name: name}
}

// Scenarios returns all that were measured.
func (r *report) Scenarios() []*scenario { return r.scenarios() }

// ours is the cell of glancefs over the same link as c.
func (s *scenario) ours(c *cell) *cell {
	i := slices.IndexFunc(s.Cells, func(o *cell) bool { return o.Tool == glancefs && o.Link.Name == c.Link.Name })
	if i < 0 {
		return nil
	}
	return s.Cells[i]
}

func (s *scenario) links() (names []string) {
	for _, c := range s.Cells {
		if !slices.Contains(names, c.Link.Name) {
			names = append(names, c.Link.Name)
		}
	}
	return names
}

// cell returns that of a link and a tool, or nil.
func (s *scenario) cell(link, tool string) *cell {
	for _, c := range s.Cells {
		if c.Link.Name == link && c.Tool == tool {
			return c
		}
	}
	return nil
}

// spoken is a link's name for people.
func spoken(link string) string {
	link = strings.Replace(link, "MBps", " MB/s", 1)
	return strings.Replace(link, "ms", " ms", 1)
}

// Versions lists the tools.
func (r *report) Versions() (list []string) {
	for _, tool := range slices.Sorted(maps.Keys(r.Machine.Versions)) {
		list = append(list, r.Machine.Versions[tool])
	}
	return list
}
