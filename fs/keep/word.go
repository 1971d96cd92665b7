package keep

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Comm is the name of a keeper's process.
const Comm = "glancefs-keeper"

// A Word is what a keeper has to say while nobody serves its mount, which cannot tell
// by itself then. It is in a file in memory, which those who may look at the keeper
// find among what it has open.
type Word struct {
	Dir    string    `json:"dir"`    // the mountpoint
	Killed int       `json:"killed"` // the worker that has been and does not end; 0 for none
	Since  time.Time `json:"since"`
	In     string    `json:"in"`   // what it waits for, as the kernel calls it
	Next   int       `json:"next"` // the worker that waits for it; 0 if none is prepared yet
}

func (w Word) String() string {
	s := fmt.Sprintf("worker %d was killed at %s and does not end; it waits in the kernel (%s), most often for a disk that is stuck",
		w.Killed, w.Since.Format(time.DateTime), w.In)
	if w.Next != 0 {
		s += fmt.Sprintf(". Worker %d waits for it", w.Next)
	}
	return s
}

// wordName is that of the file of a word.
const wordName = "glancefs-word"

// newWord makes the file.
func newWord() (*os.File, error) {
	fd, err := unix.MemfdCreate(wordName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), wordName), nil
}

// say puts a word in the place of the last one.
func (k *keeper) say(w Word) {
	w.Dir = k.Dir
	b, err := json.Marshal(w)
	if err == nil {
		_, err = k.word.WriteAt(b, 0)
	}
	if err == nil {
		err = k.word.Truncate(int64(len(b)))
	}
	if err != nil {
		k.Log.Warn("\"glancefs status\" will not know", "err", err)
	}
}

// WordOf returns what the keeper of the mount at dir, which is absolute, has to say, if
// it has.
func WordOf(dir string) (Word, bool) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if comm, _ := os.ReadFile(name); strings.TrimSpace(string(comm)) != Comm {
			continue
		}
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "fd/*"))
		for _, file := range files {
			var w Word
			if to, _ := os.Readlink(file); !strings.HasPrefix(to, "/memfd:"+wordName) {
				continue
			}
			if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &w) == nil && w.Dir == dir && w.Killed != 0 {
				return w, true
			}
		}
	}
	return Word{}, false
}
