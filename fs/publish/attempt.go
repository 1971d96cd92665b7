package publish

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"glancefs/fs/disk"
)

// An Attempt is an image at the service that a draft is to become: what has to
// be known of it after a crash, so that none is left behind half made and none
// is made twice. It is on disk before the image is made, and until what became
// of it is settled.
type Attempt struct {
	path   string
	copied bool // it was written in another directory than where it is

	Since    time.Time `json:"-"` // of its state, as far as this process knows
	Endpoint string    `json:"endpoint"`
	Image    string    `json:"image"`           // its id; "" until the service has chosen one, where it does
	Draft    string    `json:"draft,omitempty"` // id of the draft; none where an image is only reserved
	As       string    `json:"as,omitempty"`    // name in incoming/ once it is made
	Given    bool      `json:"given,omitempty"` // the id was not made up for it
	State    string    `json:"state"`
	Home     uint64    `json:"home,omitempty"` // inode of the directory it was written in; 0 if an older glancefs has written it
}

// The states of an attempt. Up to made, nobody but us knows the image.
const (
	Asked = "asked" // the image may or may not have been made
	Made  = "made"  // it has been, its data may or may not be there
	Right = "right" // it is active, and has been compared with its draft
)

const attemptSuffix = ".attempt"

// save writes r so that it survives the power going off.
func (r *Attempt) save() error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return disk.Replace(r.path, true, disk.All(b))
}

// Become moves r on to a state.
func (r *Attempt) Become(state string) error {
	r.State, r.Since = state, time.Now()
	return r.save()
}

// MayCome reports whether an image that is not there may be yet to come: the
// service may still be at the request whose answer we have not waited for.
func (r *Attempt) MayCome() bool { return r.State == Asked && time.Since(r.Since) < comeLimit }

// comeLimit is how long a request may lie about at a service before it is looked
// at.
const comeLimit = 30 * time.Second

// Forget removes r, once there is nothing left to do about its image.
func (r *Attempt) Forget() { os.Remove(r.path) } // what is left is looked at again at the next start

// newAttempt keeps what is known of an image that is about to be made.
func newAttempt(dir string, r Attempt) (*Attempt, error) {
	r.State, r.Since = Asked, time.Now()
	r.path = filepath.Join(dir, NewUUID()+attemptSuffix)
	var err error
	if r.Home, err = disk.Inode(dir); err != nil {
		return nil, err
	}
	return &r, r.save()
}

// LoadAttempts reads what earlier mounts left of attempts. Those that cannot be
// read are told, and left alone.
func LoadAttempts(dir string) (all []*Attempt, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	home, err := disk.Inode(dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), attemptSuffix) {
			continue
		}
		r := &Attempt{path: filepath.Join(dir, e.Name()), Since: time.Now()}
		b, err := os.ReadFile(r.path)
		if err == nil {
			err = json.Unmarshal(b, r)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name(), err))
			continue
		}
		r.copied = r.Home != 0 && r.Home != home
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}

// NewUUID makes a random UUID (RFC 9562, version 4).
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
