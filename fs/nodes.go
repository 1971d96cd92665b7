package fs

import (
	"context"
	iofs "io/fs"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// An identity is what a node is: enough to make it again, in this process or any
// other.
type identity struct{ kind, id string }

var rootIdentity = identity{}

// number is the node's number, see nodeID.
func (i identity) number() uint64 {
	if i == rootIdentity {
		return fuse.FUSE_ROOT_ID
	}
	return nodeID(i.kind, i.id)
}

// nodes are those that the kernel knows, because it has looked them up, and has
// not forgotten since. The ledger has a line of each: its number, how often it
// was looked up, and its kind and id as the text. It is written before the kernel
// has the answer, so it never counts too few; it counts too many if this process
// dies before the kernel has it, or when it was told of the end of a node.
// The zero value is ready.
type nodes struct {
	ledger *ledger

	mu sync.Mutex
	of map[uint64]*knownNode
}

// A knownNode is one of them.
type knownNode struct {
	line
	is   identity
	ours uint64    // so many of the times it was looked up go-fuse counts
	last time.Time // when it was looked up; zero before this process
}

// lookups is how often the kernel has looked the node up.
func (n *knownNode) lookups() *uint64 { return &n.num[1] }

const identitySeparator = "\x00"

// meet counts that the kernel is told of a node.
func (s *nodes) meet(is identity) {
	number := is.number()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of[number]
	if n != nil {
		n.ours++
		*n.lookups()++
		n.last = time.Now()
		s.ledger.update(&n.line)
		return
	}
	n = &knownNode{is: is, ours: 1, last: time.Now()}
	n.line = line{kind: lineNode, num: [6]uint64{number, 1}, text: is.kind + identitySeparator + is.id}
	s.ledger.add(&n.line)
	s.put(n)
}

// put takes a node in. Called with mu held.
func (s *nodes) put(n *knownNode) {
	if s.of == nil {
		s.of = make(map[uint64]*knownNode)
	}
	s.of[n.num[0]] = n
}

// unmeet takes meet back, before go-fuse has heard of it.
func (s *nodes) unmeet(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.of[number]; n != nil {
		n.ours--
		s.less(n, 1)
	}
}

// forget counts that the kernel forgets a node n times. Once it knows the node no
// more, gone is true, and go-fuse is to forget it ours times. left says that it
// counts on although the kernel said that this was the end of it, which is so when
// a lookup is under way, or when it counts too many.
func (s *nodes) forget(number, n uint64) (is identity, ours uint64, gone, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	node := s.of[number]
	if node == nil {
		return is, 0, false, false
	}
	gone = s.less(node, n)
	return node.is, node.ours, gone, !gone
}

// less counts down. Called with mu held.
func (s *nodes) less(n *knownNode, by uint64) (gone bool) {
	*n.lookups() -= min(by, *n.lookups())
	if *n.lookups() > 0 {
		s.ledger.update(&n.line)
		return false
	}
	s.ledger.remove(&n.line)
	delete(s.of, n.num[0])
	return true
}

// drop forgets a node of which the kernel says that it does not know it, unless it
// was looked up after a time.
func (s *nodes) drop(number uint64, after time.Time) (is identity, ours uint64, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of[number]
	if n == nil || n.last.After(after) {
		return is, 0, false
	}
	return n.is, n.ours, s.less(n, *n.lookups())
}

// knows returns the identity of a node that the kernel knows.
func (s *nodes) knows(number uint64) (identity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.of[number]
	if n == nil {
		return rootIdentity, false
	}
	return n.is, true
}

// all returns the numbers of the nodes that the kernel knows, or of those of a
// kind.
func (s *nodes) all(kind string) (numbers []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, n := range s.of {
		if kind == "" || n.is.kind == kind {
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

// recall takes in what the process before knew, of which go-fuse has heard once.
func (s *nodes) recall(l *line) *knownNode {
	n := &knownNode{line: *l, ours: 1}
	n.is.kind, n.is.id, _ = strings.Cut(l.text, identitySeparator)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(n)
	return n
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
