package fs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestRenameRefused renames where the disk does not take the new name: all is as
// before, also for what had that name.
func TestRenameRefused(t *testing.T) {
	var dir string
	in := incomingOf(t, glancetest.New(t), func(drafts string) {
		dir = drafts
		for id, name := range map[string]string{"1": ".one", "2": ".two"} {
			leave(t, filepath.Join(dir, id+".data"), []byte(id))
			leave(t, filepath.Join(dir, id+".json"), about{Name: name})
		}
	})
	record := filepath.Join(dir, "1.json")
	if err := errors.Join(os.Remove(record), os.MkdirAll(filepath.Join(record, "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".two", ".free"} {
		if err := in.rename(t.Context(), ".one", name, 0); err == nil {
			t.Errorf("renamed to %s", name)
		}
	}
	for name, id := range map[string]string{".one": "1", ".two": "2"} {
		d, _, _ := in.find(name)
		if d == nil || d.id != id || d.known().Name != escapeName(name) {
			t.Errorf("%s is %+v", name, d)
			continue
		}
		if _, err := os.Stat(d.path()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, ok := in.find(".free"); ok {
		t.Error("it has the new name")
	}
}
