package command

import "testing"

// What an earlier mount knew of a service that is down tells whether ids of images can be
// chosen: the first v1 services have numbers, and fail with any other.
func TestUUIDsOfAServiceThatIsDown(t *testing.T) {
	for version, want := range map[string]bool{"v1": false, "v2": true} {
		if got := (&service{version: version}).TakesUUIDs(); got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
}
