package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A Report is what a run of the benchmarks found, in the form in which it is
// kept: report/ makes tables and charts of it.
type Report struct {
	Machine Machine `json:"machine"`
	Cells   []*Cell `json:"cells"`
}

// A Machine is where the benchmarks ran.
type Machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Memory   string            `json:"memory"`
	Kernel   string            `json:"kernel"`
	Versions map[string]string `json:"versions"` // of the tools
	Date     string            `json:"date"`
}

// A Cell is one tool in one scenario over one link.
type Cell struct {
	Scenario string   `json:"scenario"`
	Link     Link     `json:"link"`
	Tool     string   `json:"tool"`
	Image    int64    `json:"image"`   // its bytes
	Payload  int64    `json:"payload"` // bytes that the readers ask for
	Samples  []Sample `json:"samples"`
}

// A Sample is one run.
type Sample struct {
	Time     time.Duration `json:"time"`
	Reader   time.Duration `json:"reader_cpu"` // of the program that reads
	Daemon   time.Duration `json:"daemon_cpu"` // of what serves it, while it reads
	After    time.Duration `json:"after_cpu"`  // and afterwards, when it verifies what it has
	Peak     int64         `json:"peak"`       // bytes of memory of what serves it
	Bytes    int64         `json:"bytes"`      // sent by the origin
	Requests int           `json:"requests"`
}

// median is the median of what of returns for each sample.
func (c *Cell) median(of func(Sample) float64) float64 {
	var v []float64
	for _, s := range c.Samples {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

func (c *Cell) time() float64 { return c.median(func(s Sample) float64 { return float64(s.Time) }) }

// reportVar names the file that the report is written to.
const reportVar = "GLANCEFS_BENCH_REPORT"

func (r *Report) write(tb testing.TB) {
	file := os.Getenv(reportVar)
	if file == "" {
		return
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		tb.Error(err)
	}
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Date: time.Now().UTC().Format(time.DateOnly), Versions: make(map[string]string)}
	m.CPU = fieldOf("/proc/cpuinfo", "model name")
	m.Memory = fieldOf("/proc/meminfo", "MemTotal")
	m.Kernel = strings.TrimSpace(said("uname", "-r"))
	for name, args := range map[string][]string{
		"curl": {"--version"}, "rclone": {"version"}, "nbdkit": {"--version"}, "nbdfuse": {"--version"},
	} {
		line, _, _ := strings.Cut(said(name, args...), "\n")
		m.Versions[name] = line
	}
	return m
}

// fieldOf is the value of the first line "NAME: VALUE" of a file.
func fieldOf(file, name string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// said is what a program prints, and nothing if it is not there.
func said(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output()
	return string(out)
}
