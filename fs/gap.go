package fs

import (
	"errors"
	"fmt"
)

// errUnwritten is why something is missing that the process before was to write.
var errUnwritten = errors.New("a write failed")

// A gap is what a writer was told could not be written, and has not written since.
// Most programs close the file then, as they do when all is well, and only the status
// they end with later tells the two apart.
type gap struct {
	from, to int64
	err      error // why; nil where nothing is missing
}

// miss adds bytes that could not be written.
func (g *gap) miss(from, to int64, err error) {
	if g.err != nil {
		from, to = min(from, g.from), max(to, g.to)
	}
	*g = gap{from, to, err}
}

// fill takes away what has been written after all, from the front.
func (g *gap) fill(from, to int64) {
	if from <= g.from && g.from < to {
		g.from = to
	}
	if g.from >= g.to {
		*g = gap{}
	}
}

// reason tells what is missing, or nil.
func (g *gap) reason() error {
	if g.err == nil {
		return nil
	}
	return fmt.Errorf("not all of it could be written: %w", g.err)
}
