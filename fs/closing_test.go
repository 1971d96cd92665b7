package fs

import (
	"os"
	"strings"
	"testing"
)

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

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 4194308 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 2"
	if exiting, status := parseStat("77 (cp) (of) things)" + rest); !exiting || status != 2 {
		t.Errorf("%t, %d", exiting, status)
	}
	for _, short := range []string{"", "77 (cp", "77 (cp) S 1 2"} {
		if exiting, status := parseStat(short); exiting || status != 0 {
			t.Errorf("%q: %t, %d", short, exiting, status)
		}
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if exiting, status := parseStat(string(own)); exiting || status != 0 {
		t.Errorf("this process: %t, %d", exiting, status)
	}
	if tgid := statusLine(uint32(os.Getpid()), "Tgid"); tgid == "" || strings.ContainsAny(tgid, " \n") {
		t.Errorf("thread group %q", tgid)
	}
}

// TestIsRsyncs tells the names that rsync makes up from those that a user does.
func TestIsRsyncs(t *testing.T) {
	for name, want := range map[string]bool{
		".disk.Ab3dEf": true, ".di.Ab3dEf": true, ".disk.qcow2.Ab3dEf": false, ".disk": false, "disk.Ab3dEf": false,
		".disk.Ab3dEfg": false, ".other.Ab3dEf": false, "..Ab3dEf": false, ".": false, "": false,
	} {
		if got := isRsyncs(name, "disk"); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}
