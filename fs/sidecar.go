package fs

import (
	"errors"
	"os"
	"strings"

	"glancefs/fs/metadata"
)

// sidecarSuffix makes the name of a file of metadata of that of its draft.
const sidecarSuffix = ".meta.json"

func isSidecar(name string) bool { return strings.HasSuffix(name, sidecarSuffix) && !isHidden(name) }

// inspect checks a file of metadata.
func (in *incoming) inspect(d *draft) error {
	f, err := os.Open(d.path())
	if err != nil {
		return err
	}
	defer f.Close()
	err = new(metadata.Wish).Read(f)
	reason := ""
	if err != nil {
		reason = err.Error()
		in.t.log.Warn("metadata not taken", "name", d.name(), "err", err)
	}
	return errors.Join(err, d.tell(func(a *about) { a.Error = reason }))
}

// wishFor returns what is asked for of the image that a name stands for, by its
// file of metadata if there is one.
func (in *incoming) wishFor(name string) (*metadata.Wish, error) {
	w := new(metadata.Wish)
	sidecar, _, _ := in.find(name + sidecarSuffix)
	if sidecar == nil {
		return w, nil
	}
	f, err := os.Open(sidecar.path())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return w, w.Read(f)
}
