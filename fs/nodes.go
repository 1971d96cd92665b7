package fs

import (
	"context"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"glancefs/fs/ledger"
)

// nodes are those that the kernel knows, because it has looked them up, and has
// not forgotten since. The ledger has a line of each: its number, how often it
// was looked up, and its kind and id as the text. It is written before the kernel
// has the answer, so it never counts too few; it counts too many if this process
// dies before the kernel has it, or when it was told of the end of a node.
// The zero value is ready.
type nodes struct {
	ledger *ledger.Ledger

	mu sync.Mutex
	of map[uint64]*knownNode
}

// A knownNode is one of them. It is small, because there are many.
type knownNode struct {
	id      string
	lookups uint64 // by the kernel
	ours    uint64 // so many of them go-fuse counts
	slot    uint32 // of its line; 0 if it has none
	last    uint32 // when it was looked up, in seconds since 1970; 0 before this process
	kind    uint8  // its place in kinds
}

func (n *knownNode) identity() identity { return identity{kinds[n.kind], n.id} }

const identitySeparator = "\x00"

// now is the time as last has it.
func now() uint32 { return uint32(time.Now().Unix()) }

// meet counts that the kernel is told of a node.
func (s *nodes) meet(is identity) {
	number := is.number()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of[number]
	if n != nil {
		n.ours++
		n.lookups++
		n.last = now()
		s.ledger.Count(n.slot, n.lookups)
		return
	}
	n = &knownNode{kind: uint8(slices.Index(kinds[:], is.kind)), id: is.id, lookups: 1, ours: 1, last: now()}
	if s.ledger != nil {
		n.slot = s.ledger.Add(&ledger.Line{Kind: lineNode, Num: [6]uint64{number, n.lookups}, Text: is.kind + identitySeparator + is.id})
	}
	s.put(number, n)
}

// put takes a node in. Called with mu held.
func (s *nodes) put(number uint64, n *knownNode) {
	if s.of == nil {
		s.of = make(map[uint64]*knownNode)
	}
	s.of[number] = n
}

// unmeet takes meet back, before go-fuse has heard of it.
func (s *nodes) unmeet(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.of[number]; n != nil {
		n.ours--
		s.less(number, n, 1)
	}
}

// forget counts that the kernel forgets a node n times. Once it knows the node no
// more, gone is true, and go-fuse is to forget it ours times. left says that it
// counts on although the kernel said that this was the end of it, which is so when
// a lookup is under way, or when it counts too many.
func (s *nodes) forget(number, n uint64) (ours uint64, gone, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	node := s.of[number]
	if node == nil {
		return 0, false, false
	}
	gone = s.less(number, node, n)
	return node.ours, gone, !gone
}

// less counts down. Called with mu held.
func (s *nodes) less(number uint64, n *knownNode, by uint64) (gone bool) {
	n.lookups -= min(by, n.lookups)
	if n.lookups > 0 {
		s.ledger.Count(n.slot, n.lookups)
		return false
	}
	s.ledger.RemoveAt(n.slot)
	delete(s.of, number)
	return true
}

// drop forgets a node of which the kernel says that it does not know it, unless it
// was looked up after a time.
func (s *nodes) drop(number uint64, after time.Time) (ours uint64, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of[number]
	if n == nil || int64(n.last) >= after.Unix() {
		return 0, false
	}
	return n.ours, s.less(number, n, n.lookups)
}

// knows returns the identity of a node that the kernel knows.
func (s *nodes) knows(number uint64) (identity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of[number]
	if n == nil {
		return rootIdentity, false
	}
	return n.identity(), true
}

// all returns the numbers of the nodes that the kernel knows, or of those of a
// kind.
func (s *nodes) all(kind string) (numbers []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, n := range s.of {
		if kind == "" || kinds[n.kind] == kind {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

func (s *nodes) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.of)
}

// recall takes in what the process before knew, of which go-fuse is about to hear
// once.
func (s *nodes) recall(l *ledger.Line) error {
	kind, id, _ := strings.Cut(l.Text, identitySeparator)
	i := slices.Index(kinds[:], kind)
	if i < 0 {
		return fmt.Errorf("node %q: %w", l.Text, ledger.ErrFormat)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(l.Num[0], &knownNode{kind: uint8(i), id: id, lookups: l.Num[1], ours: 1, slot: l.Slot()})
	return nil
}

// isLost reports whether a node cannot be made again.
func (t *tree) isLost(is identity) bool {
	switch is.kind {
	case "scratch":
		return true
	case "draft":
		return t.incoming.byNumber(is) == nil
	}
	return false
}

// node makes a node again of what it is. It asks nobody.
func (t *tree) node(is identity) (child, error) {
	switch is.kind {
	case "top":
		return t.root().view.lookup(context.Background(), is.id)
	case "about":
		return t.about().lookup(context.Background(), is.id)
	case "image":
		return t.image(is.id), nil
	case "data":
		return &imageData{node: node{t: t}, id: is.id}, nil
	case "meta.json":
		return t.meta(is.id), nil
	case "members":
		return t.members(is.id), nil
	case "members.json":
		return t.memberFile(is.id), nil
	case "member":
		image, entry, _ := strings.Cut(is.id, "/")
		if who, ok := unescapeName(entry); ok {
			return t.memberOf(image, who, entry), nil
		}
	case "by-name":
		return t.linkTo(is.id), nil
	case "found":
		return t.foundLink(is.id), nil
	case "incoming":
		image, path, below := strings.Cut(is.id, "/")
		if below {
			path = "/" + path
		}
		return t.madeLink(linked{image, path}), nil
	case "made":
		return t.madeDir(is.id), nil
	case "query":
		return t.queries().lookup(context.Background(), is.id)
	case "by-member":
		return t.projects().lookup(context.Background(), is.id)
	case "draft":
		if d := t.incoming.byNumber(is); d != nil {
			return &draftFile{node: node{t: t}, draft: d}, nil
		}
	}
	return nil, iofs.ErrNotExist
}
