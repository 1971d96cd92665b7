package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkRead compares glancefs with other ways to read the same images from
// the same server; see scenarios for what it does, and sh integration/install.sh bench
// for what it needs. Each round runs every tool once, and begins with another
// one. Reported are medians: the time of glancefs, and how many times that of
// the others it is (x_NAME: below 1 glancefs is faster). The variable
// GLANCEFS_BENCH_REPORT names a file for all that was measured.
//
//	go test -run '^$' -bench 'Read/ColdSequential/20ms' -benchtime 5x ./integration
func BenchmarkRead(b *testing.B) {
	require(b)
	r := &benchRun{report: &Report{Machine: thisMachine()}, images: make(map[int64]string)}
	if err := linkPrograms(); err != nil {
		b.Fatal(err)
	}
	r.origin = startOrigin(b)
	defer r.report.write(b)
	for _, s := range scenarios() {
		b.Run(s.name, func(b *testing.B) {
			for _, l := range s.links {
				b.Run(l.Name, func(b *testing.B) { r.scenario(b, s, l) })
			}
		})
	}
	b.Run("Memory", r.memory)
}

// A benchRun is the state of BenchmarkRead.
type benchRun struct {
	origin *origin
	images map[int64]string // ids by size
	report *Report
}

// image returns the id of the image of a size.
func (r *benchRun) image(b *testing.B, size int64) string {
	if r.images[size] == "" {
		r.images[size] = r.origin.add(b, "disk", size)
	}
	return r.images[size]
}

// enough is how long a tool other than ours may take in all rounds of a cell. A
// slower one has fewer rounds; slow ones wait for the link, always as long.
const enough = 20 * time.Second

// scenario measures all tools in one scenario over one link.
func (r *benchRun) scenario(b *testing.B, s *scenario, l Link) {
	size := s.image(l)
	id := r.image(b, size)
	r.origin.link(b, l)
	cells := make([]*Cell, len(s.tools))
	open := make([]*opened, len(s.tools))
	for i, t := range s.tools {
		cells[i] = &Cell{Scenario: s.name, Link: l, Tool: t.name, Image: size, Payload: s.payload(l)}
		if s.warm {
			if t.within != nil {
				open[i] = t.within(b, open[0])
			} else {
				open[i] = t.open(b, r.origin, id)
			}
			defer open[i].close()
			run(b, "dd", "if="+open[i].target, "of=/dev/null", "bs=1M", "status=none")
			open[i].settle()
		}
	}
	spent := make([]time.Duration, len(s.tools))
	turn := func(i, round int) {
		begun := time.Now()
		w := reading{opened: open[i], scenario: s, link: l, round: round}
		if !s.warm {
			w.opened = s.tools[i].open(b, r.origin, id)
		}
		sample, err := r.sample(b, w)
		if err != nil {
			b.Fatalf("%s: %v", s.tools[i].name, err)
		}
		cells[i].Samples = append(cells[i].Samples, sample)
		spent[i] += time.Since(begun)
	}
	for round := 0; b.Loop(); {
		for range s.rounds() {
			for i := range s.tools {
				if i = (i + round) % len(s.tools); i == 0 || spent[i] <= enough {
					turn(i, round)
				}
			}
			round++
		}
	}
	r.report.Cells = append(r.report.Cells, cells...)
	compare(b, cells)
}

// rounds is how many make one iteration of a benchmark: what takes little time
// is easily disturbed, and easily done more often.
func (s *scenario) rounds() int {
	if s.warm {
		return 5
	}
	return 1
}

// sample runs the readers once, and closes what they read unless it stays warm.
func (r *benchRun) sample(b *testing.B, w reading) (sample Sample, err error) {
	if w.scenario.before != nil {
		argv := w.scenario.before(w)
		run(b, argv[0], argv[1:]...)
	}
	var argv [][]string
	for i := range max(w.scenario.readers, 1) {
		w.out = out(i)
		defer os.Remove(w.out)
		argv = append(argv, w.scenario.command(w))
	}
	r.origin.counts(b)
	before, err := w.usage()
	if err != nil {
		return sample, err
	}
	sample.Time, sample.Reader, err = runReaders(argv, w.scenario.apart)
	if err != nil {
		return sample, err
	}
	after, err := w.usage()
	if err != nil {
		return sample, err
	}
	if w.scenario.whole {
		w.settle()
	}
	r.idle(b)
	late, err := w.usage()
	if err != nil {
		return sample, err
	}
	if !w.scenario.warm {
		w.close()
	}
	sample.Daemon, sample.After, sample.Peak = after.cpu-before.cpu, late.cpu-after.cpu, late.peak
	counts := r.origin.counts(b)
	sample.Bytes, sample.Requests = counts.Bytes, counts.Requests
	return sample, nil
}

func (o *opened) usage() (usage, error) {
	if o.group == 0 {
		return usage{}, nil
	}
	return groupUsage(o.group)
}

func (o *opened) settle() {
	if o.rest != nil {
		o.rest()
	}
}

// idle gives streams that nobody reads any more a second to end, or to show
// what they cost.
func (r *benchRun) idle(b *testing.B) {
	for deadline := time.Now().Add(time.Second); r.origin.running(b) > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
}

// runReaders runs programs at once, begun some time apart, and returns how long
// it took until all had ended and what they used of the processors.
func runReaders(argv [][]string, apart time.Duration) (took, cpu time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	readers := make([]*exec.Cmd, len(argv))
	said := make([]bytes.Buffer, len(argv))
	complaints := make([]bytes.Buffer, len(argv))
	for i, a := range argv {
		if readers[i], err = command(ctx, nil, a[0], a[1:]...); err != nil {
			return 0, 0, err
		}
		readers[i].Stdout, readers[i].Stderr = &said[i], &complaints[i]
	}
	begun := time.Now()
	for i, c := range readers {
		if i > 0 {
			time.Sleep(apart)
		}
		if err := c.Start(); err != nil {
			return 0, 0, err
		}
	}
	for i, c := range readers {
		if e := c.Wait(); e != nil {
			err = errors.Join(err, e, errors.New(complaints[i].String()))
		}
	}
	took = time.Since(begun)
	for i, c := range readers {
		if c.ProcessState != nil {
			cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		}
		if n, e := strconv.ParseInt(string(bytes.TrimSpace(said[i].Bytes())), 10, 64); e == nil {
			took = time.Duration(n)
		}
	}
	return took, cpu, err
}

// compare reports what a line of go test's output can hold; ours is the first.
func compare(b *testing.B, cells []*Cell) {
	ours := cells[0]
	mine := ours.time()
	b.ReportMetric(mine, "ns/op")
	b.ReportMetric(float64(ours.Payload)*1e3/mine, "MB/s")
	b.ReportMetric(ours.median(func(s Sample) float64 { return float64(s.Bytes) })/float64(ours.Payload), "sent")
	for _, c := range cells[1:] {
		b.ReportMetric(mine/c.time(), "x_"+strings.ReplaceAll(c.Tool, " ", "-"))
	}
}
