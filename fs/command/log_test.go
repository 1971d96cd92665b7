package command

import (
	"log/slog"
	"strings"
	"testing"
)

// TestStrays: what net/http says of bytes that nobody has asked for is a record of the
// log, without the bytes.
func TestStrays(t *testing.T) {
	var out strings.Builder
	s := strays{slog.New(slog.NewTextHandler(&out, nil))}
	line := "Unsolicited response received on idle HTTP channel starting with \"unasked\"; err=<nil>\n"
	if n, err := s.Write([]byte(line)); n != len(line) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := out.String(); !strings.Contains(got, "level=INFO") || !strings.Contains(got, "Unsolicited response") || strings.Contains(got, "unasked") {
		t.Errorf("the log has %q", got)
	}
}
