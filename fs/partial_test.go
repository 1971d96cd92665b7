package fs

import "testing"

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
