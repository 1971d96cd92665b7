package proc

import (
	"os"
	"testing"
)

func TestStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 4194308 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 2"
	if s := Stat("77 (cp) (of) things)" + rest); !s.Exiting() || s.ExitCode() != 2 || s.State() != "S" || s.Started() != "19" {
		t.Errorf("%t, %d, %s, %s", s.Exiting(), s.ExitCode(), s.State(), s.Started())
	}
	for _, short := range []Stat{"", "77 (cp", "77 (cp) S 1 2"} {
		if short.Exiting() || short.ExitCode() != 0 {
			t.Errorf("%q: %t, %d", short, short.Exiting(), short.ExitCode())
		}
	}
	pid := os.Getpid()
	if s := StatOf(pid); s.State() == "" || s.Exiting() || s.ExitCode() != 0 {
		t.Errorf("this process: %q", s)
	}
	if Of(pid) != pid {
		t.Errorf("this process is of %d", Of(pid))
	}
}
