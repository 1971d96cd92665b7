package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"glancefs/glanceapi/glancetest"
)

// usedMount is a mount with metrics that has seen everything there is to count.
func usedMount(t *testing.T, args ...string) (m *Mount, s *glancetest.Server, url string) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s = glancetest.New(t)
	data := noise(t.Name(), 3<<20)
	id := s.Add(t, "disk", data)
	addr := "127.0.0.1:" + port
	m = mount(t, append([]string{"--endpoint", s.URL, "--metrics", addr}, args...)...)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	if verified(t, file) != "yes" {
		t.Error("not verified")
	}
	sha512sum(t, file, data)
	if _, err := try(nil, "stat", filepath.Join(m.Dir, "by-name/nothing")); err == nil {
		t.Error("there is an image called nothing")
	}
	return m, s, "http://" + addr
}

// metrics are the families of a text in Prometheus' format.
func metrics(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// own reports whether a metric is glancefs's, and not of the libraries that tell
// of every Go program.
func own(name string) bool { return strings.HasPrefix(name, "glancefs_") }

// TestMetrics asks for metrics as Prometheus does: its linter has nothing to say,
// docs/metrics.md has every one of them and no other, and .glancefs/stats shows
// the same.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m, _, url := usedMount(t)
	text := run(t, "curl", "-fsS", url+"/metrics")
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families := metrics(t, text)
	var want []string
	for name, f := range families {
		if own(name) {
			want = append(want, fmt.Sprintf("| `%s` | %s | %s |", name, strings.ToLower(f.GetType().String()), f.GetHelp()))
		}
	}
	slices.Sort(want)
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	have := regexp.MustCompile("(?m)^\\| `glancefs_.*\\|$").FindAllString(string(doc), -1)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("docs/metrics.md should have these lines:\n%s", strings.Join(want, "\n"))
	}
	stats := metrics(t, run(t, "cat", filepath.Join(m.Dir, ".glancefs/stats")))
	if a, b := slices.Sorted(maps.Keys(families)), slices.Sorted(maps.Keys(stats)); !slices.Equal(a, b) {
		t.Errorf("/metrics has %q, .glancefs/stats %q", a, b)
	}
	checkCounts(t, families)
	checkUses(t, families)
}

// checkCounts compares some metrics with what has happened to the used mount.
func checkCounts(t *testing.T, families map[string]*dto.MetricFamily) {
	t.Helper()
	value := func(name string, labels ...string) float64 {
		for _, m := range families[name].GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetValue())
			}
			if slices.Equal(got, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return 0
	}
	for _, c := range []struct {
		name   string
		labels []string
		least  float64
	}{
		{"glancefs_fetched_bytes_total", nil, 3 << 20},
		{"glancefs_read_bytes_total", nil, 3 << 20},
		{"glancefs_cache_filled_blocks_total", nil, 48},
		{"glancefs_cache_misses_total", nil, 1},
		{"glancefs_responses_total", []string{"200"}, 2},
		{"glancefs_fuse_operation_duration_seconds", []string{"read"}, 3},
		{"glancefs_fuse_errors_total", []string{"ENOENT", "lookup"}, 1},
		{"glancefs_data_opens_total", []string{"glancefs"}, 1},
		{"glancefs_data_opens_total", []string{"kernel"}, 1},
		{"glancefs_service_up", nil, 1},
		{"glancefs_build_info", []string{"devel"}, 1},
		{"process_open_fds", nil, 1},
	} {
		if got := value(c.name, c.labels...); got < c.least {
			t.Errorf("%s%q is %v, want %v at least", c.name, c.labels, got, c.least)
		}
	}
}

// checkUses wants the dashboard and the alerts to be about metrics that there
// are.
func checkUses(t *testing.T, families map[string]*dto.MetricFamily) {
	t.Helper()
	for _, file := range []string{"dashboard.json", "alerts.yml"} {
		text, err := os.ReadFile(filepath.Join("../docs/monitoring", file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(glancefs|process|go)_\w+`).FindAllString(string(text), -1)
		if len(names) < 5 {
			t.Errorf("%s names %q", file, names)
		}
		for _, name := range names {
			base := strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
			if families[name] == nil && (families[base] == nil || families[base].GetType() != dto.MetricType_HISTOGRAM) {
				t.Errorf("%s names %s, which is none", file, name)
			}
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is not JSON", file)
		}
	}
}

// TestHealth asks a mount for its health while all is well, while the image
// service is down, and while the mount hangs.
func TestHealth(t *testing.T) {
	t.Parallel()
	require(t)
	disk := newStuckDisk(t)
	m, s, url := usedMount(t, "--cache-dir", disk.dir, "--cache-size", "1GiB", "--refresh", "1ns", "--timeout", "1s")
	run(t, "ls", filepath.Join(m.Dir, "images"))
	health := func() (status, body string) {
		out, err := try(nil, "curl", "-sS", "-w", "\n%{http_code}", url+"/healthz")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(out), "\n")
		return lines[len(lines)-1], lines[0]
	}
	if status, body := health(); status != "200" || body != s.URL+" (v2) at "+m.Dir {
		t.Errorf("well: %s, %q", status, body)
	}
	s.SetFaults(glancetest.Fault{Status: http.StatusServiceUnavailable})
	run(t, "ls", filepath.Join(m.Dir, "images"))
	err := eventually("the service to be missed", func() (bool, error) {
		status, body := health()
		return status == "200" && strings.Contains(body, "does not answer"), fmt.Errorf("%s, %q", status, body)
	})
	if err != nil {
		t.Error(err)
	}
	if out := string(run(t, "glancefs", "status", m.Dir)); !strings.Contains(out, "does not answer") {
		t.Errorf("status: %s", out)
	}
	release := disk.stick()
	defer release()
	if status, body := health(); status != "503" || !strings.Contains(body, "the mount does not answer") {
		t.Errorf("while it hangs: %s, %q", status, body)
	}
	release()
	err = eventually("health", func() (bool, error) {
		status, body := health()
		return status == "200", errors.New(body)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestMetricsAddress wants profiles on a loopback address only, a word on one
// that is none, and one that is in use refused.
func TestMetricsAddress(t *testing.T) {
	t.Parallel()
	_, s, url := usedMount(t)
	run(t, "curl", "-fsS", "-o", "/dev/null", url+"/debug/pprof/goroutine?debug=1")
	line, err := refused(nil, "--endpoint", s.URL, "--cache-dir", t.TempDir(), "--metrics", strings.TrimPrefix(url, "http://"), t.TempDir())
	if err != nil || !strings.Contains(line, "--metrics") || !strings.Contains(line, "in use") {
		t.Errorf("an address in use: %q, %v", line, err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	m := mount(t, "--endpoint", s.URL, "--metrics", ":"+port)
	run(t, "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:"+port+"/metrics")
	if _, err := try(nil, "curl", "-fsS", "http://127.0.0.1:"+port+"/debug/pprof/"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("profiles for all: %v", err)
	}
	m.says(t, "open to whoever can reach")
}
