package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"log/syslog"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
)

// newLogger makes the log of a mount: on stderr, or in the system's log for one
// that has left its caller.
func newLogger(c *cli.Context) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	out, wrap := c.App.ErrWriter, func(h slog.Handler) slog.Handler { return h }
	if c.Bool(detachFlag) {
		l := &systemLine{}
		o.ReplaceAttr = withoutTime
		out, wrap = &l.text, func(h slog.Handler) slog.Handler { return systemLog{h, l} }
	}
	h, err := newHandler(c.String("log-format"), out, o)
	if err != nil {
		return nil, err
	}
	return slog.New(wrap(h)), nil
}

func newHandler(format string, out io.Writer, o *slog.HandlerOptions) (slog.Handler, error) {
	switch format {
	case "text":
		return slog.NewTextHandler(out, o), nil
	case "json":
		return slog.NewJSONHandler(out, o), nil
	}
	return nil, fmt.Errorf("--log-format: %q is neither text nor json", format)
}

// takeStrays puts into l what net/http says by itself, of a server that sends what
// nobody has asked it for above all. It would go to stderr as it is, with 4 KiB of what
// came, which may be an image's.
func takeStrays(l *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(strays{l})
}

type strays struct{ *slog.Logger }

func (s strays) Write(line []byte) (int, error) {
	what, _, _ := strings.Cut(strings.TrimSpace(string(line)), " starting with ")
	s.Info("said by net/http", "what", fmt.Sprintf("%.200s", what))
	return len(line), nil
}

// withoutTime leaves out what the system's log adds by itself.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// A systemLog hands records to syslog(3), where journald takes them, too. What
// nobody takes is lost.
type systemLog struct {
	slog.Handler // writes to line.text
	line         *systemLine
}

// A systemLine is the record on its way.
type systemLine struct {
	mu   sync.Mutex
	text bytes.Buffer
	to   *syslog.Writer // nil before anybody has taken one
}

// Handle sends one record, with its level as its priority.
func (l systemLog) Handle(ctx context.Context, r slog.Record) error {
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	l.line.text.Reset()
	if err := l.Handler.Handle(ctx, r); err != nil {
		return err
	}
	return l.line.send(r.Level)
}

// WithAttrs is as slog.Handler has it.
func (l systemLog) WithAttrs(a []slog.Attr) slog.Handler {
	return systemLog{l.Handler.WithAttrs(a), l.line}
}

// WithGroup is as slog.Handler has it.
func (l systemLog) WithGroup(name string) slog.Handler {
	return systemLog{l.Handler.WithGroup(name), l.line}
}

// send sends the line. Called with mu held.
func (l *systemLine) send(level slog.Level) (err error) {
	if l.to == nil {
		if l.to, err = syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "glancefs"); err != nil {
			return err
		}
	}
	switch text := l.text.String(); {
	case level >= slog.LevelError:
		return l.to.Err(text)
	case level >= slog.LevelWarn:
		return l.to.Warning(text)
	case level >= slog.LevelInfo:
		return l.to.Info(text)
	default:
		return l.to.Debug(text)
	}
}
