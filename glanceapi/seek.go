package glanceapi

import (
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// seekMemorySize is the number of images remembered, at some hundred bytes each.
const seekMemorySize = 4096

// A seekMemory remembers which images cannot be read from the middle. That
// depends on the store an image lies in and can be found out only by asking:
// rbd, swift, s3, vmware and http stores answer 400 to any Range. Forgetting
// costs a request.
type seekMemory struct {
	refused *lru.Cache[string, struct{}]
	last    atomic.Bool // the last image asked for a range refused
}

func newSeekMemory() *seekMemory {
	c, err := lru.New[string, struct{}](seekMemorySize)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &seekMemory{refused: c}
}

// worthAsking tells whether to send a Range for id. At offset 0 the guess from
// the image asked before costs nothing, because the stream starts there anyway.
func (m *seekMemory) worthAsking(id string, off int64) bool {
	return !m.refused.Contains(id) && !(off == 0 && m.last.Load())
}

func (m *seekMemory) answered(id string, ranged bool) {
	m.last.Store(!ranged)
	if !ranged {
		m.refused.Add(id, struct{}{})
	}
}
