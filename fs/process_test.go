package fs

import (
	"os"
	"strings"
	"testing"
)

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
