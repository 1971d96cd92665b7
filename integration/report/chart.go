package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// A chart compares the tools by one quantity in one scenario: a group of bars
// for each link, on a logarithmic scale, since they differ that much.
type chart struct {
	File  string
	Title string
	unit  string
	of    func(*cell) float64
	scenario
}

// Charts returns those for which there is something to show.
func (r *report) Charts() (list []chart) {
	seconds := func(c *cell) float64 { return c.seconds() }
	megabytes := func(c *cell) float64 { return c.sent() / 1e6 }
	rate := func(c *cell) float64 { return float64(c.Payload) / 1e6 / c.seconds() }
	for _, c := range []struct {
		file, scenario, what, unit string
		of                         func(*cell) float64
	}{
		{"sequential.svg", "ColdSequential", "Cold, sequential (more is better)", "MB/s", rate},
		{"random.svg", "ColdRandom", "Cold, random pages of 4 KiB (less is better)", "ms a page", func(c *cell) float64 { return c.seconds() * 1e3 * 4096 / float64(c.Payload) }},
		{"boot.svg", "Boot", "A boot: time spent reading (less is better)", "seconds", seconds},
		{"boot-bytes.svg", "Boot", "A boot: sent by the image service (less is better)", "MB", megabytes},
		{"eight.svg", "ColdEight", "Eight readers of one cold image (less is better)", "seconds", seconds},
		{"warm.svg", "WarmSequential", "Warm, sequential (more is better)", "MB/s", rate},
	} {
		if s := r.Scenario(c.scenario); len(s.Cells) > 0 {
			list = append(list, chart{c.file, c.what, c.unit, c.of, *s})
		}
	}
	return list
}

// palette has a colour for each tool that the eye tells from the others, also
// without colour.
func palette() []color.Color {
	return []color.Color{
		color.RGBA{0xc2, 0x3b, 0x22, 255}, color.RGBA{0x3b, 0x6f, 0xa0, 255}, color.RGBA{0x8f, 0xb8, 0xde, 255},
		color.RGBA{0x4f, 0x4f, 0x4f, 255}, color.RGBA{0xd9, 0xb3, 0x4a, 255},
	}
}

func (c *chart) tools() (names []string) {
	for _, cell := range c.Cells {
		if !slices.Contains(names, cell.Tool) {
			names = append(names, cell.Tool)
		}
	}
	return names
}

// floor is the decade below the least value, where the bars stand.
func (c *chart) floor() float64 {
	least := math.Inf(1)
	for _, cell := range c.Cells {
		if v := c.of(cell); v > 0 {
			least = min(least, v)
		}
	}
	return math.Floor(math.Log10(least))
}

func (c *chart) draw(file string) error {
	p := plot.New()
	p.Title.Text = c.Title
	p.Title.Padding = vg.Points(8)
	p.Y.Label.Text = c.unit
	p.Legend.Top = true
	// At the right, but with the names to the right of the colours: how wide
	// they are depends on who shows the picture.
	p.Legend.Left, p.Legend.XOffs = true, 13.4*vg.Centimeter
	p.Legend.Padding = vg.Points(2)
	p.Legend.ThumbnailWidth = vg.Points(10)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	p.Add(grid)
	tools, links, floor := c.tools(), c.links(), c.floor()
	width := vg.Points(14)
	for i, tool := range tools {
		var heights plotter.Values
		for _, link := range links {
			height := 0.0
			if cell := c.cell(link, tool); cell != nil && c.of(cell) > 0 {
				height = math.Log10(c.of(cell)) - floor
			}
			heights = append(heights, height)
		}
		bars, err := plotter.NewBarChart(heights, width)
		if err != nil {
			return err
		}
		bars.Color = palette()[i%len(palette())]
		bars.LineStyle.Width = 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(tools)-1)/2)
		p.Add(bars)
		p.Legend.Add(tool, bars)
	}
	names := make([]string, len(links))
	for i, link := range links {
		names[i] = spoken(link)
	}
	p.NominalX(names...)
	p.Y.Tick.Marker = decades(floor)
	p.Y.Min = 0
	p.X.Max += 1 // for the legend
	return p.Save(18*vg.Centimeter, 9*vg.Centimeter, file)
}

// decades marks powers of ten, and what lies between, where the height 0 is the
// given one.
type decades float64

func (d decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for n := 0.0; n <= high; n++ {
		ticks = append(ticks, plot.Tick{Value: n, Label: fmt.Sprint(math.Pow(10, n+float64(d)))})
		for i := 2.0; i < 10 && n+math.Log10(i) <= high; i++ {
			ticks = append(ticks, plot.Tick{Value: n + math.Log10(i)})
		}
	}
	return ticks
}
