package fs

import "testing"

// TestFinished goes through what programs do when they close.
func TestFinished(t *testing.T) {
	const writer, child, unknown = 10, 11, 0
	for name, c := range map[string]struct {
		closing
		want bool
	}{
		"cp":                                {closing{opener: writer, closer: writer, wrote: true}, true},
		"a shell, before the command":       {closing{opener: writer, closer: writer}, false},
		"a of (a; b) >":                     {closing{opener: writer, closer: child, wrote: true}, false},
		"a of (a; b) >, exits":              {closing{opener: writer, closer: child, wrote: true, exiting: true}, false},
		"(a; b) >, exits":                   {closing{opener: writer, closer: writer, wrote: true, exiting: true}, true},
		"qemu-img, sets the length":         {closing{opener: writer, closer: writer}, false},
		"killed":                            {closing{opener: writer, closer: writer, wrote: true, exiting: true, status: 9}, false},
		"interrupted":                       {closing{opener: writer, closer: writer, wrote: true, exiting: true, status: 2}, false},
		"exits with a failure":              {closing{opener: writer, closer: writer, wrote: true, exiting: true, status: 1 << 8}, false},
		"dd, interrupted":                   {closing{opener: writer, closer: writer, wrote: true, stopped: true}, false},
		"closes, has had a signal":          {closing{opener: writer, closer: writer, wrote: true, status: 2}, true},
		"another process namespace, opened": {closing{opener: unknown, closer: writer, wrote: true}, true},
		"another process namespace, closes": {closing{opener: writer, closer: unknown, wrote: true}, true},
	} {
		if got := c.finished(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
