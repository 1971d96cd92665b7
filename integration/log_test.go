package integration

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// stderr keeps what a glancefs process says, and notes when it is ready.
type stderr struct {
	ready chan struct{} // closed at the first line with the word

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

var readyLine = regexp.MustCompile(`(?m)\bready\b.*\n`)

func (s *stderr) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if !s.told && readyLine.Match(s.text.Bytes()) {
		s.told = true
		close(s.ready)
	}
	return len(p), nil
}

func (s *stderr) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// says waits until the log has this text. What has just happened may not be in it
// yet: a line comes through a pipe, which is read beside the test.
func (m *Mount) says(tb testing.TB, text string) {
	tb.Helper()
	err := eventually(fmt.Sprintf("%q in the log", text), func() (bool, error) {
		return strings.Contains(m.Stderr.String(), text), nil
	})
	if err != nil {
		tb.Errorf("%v:\n%s", err, m.Stderr)
	}
}
