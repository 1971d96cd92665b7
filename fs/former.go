package fs

import (
	"context"
	"fmt"
	iofs "io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/fs/ledger"
)

// A former is a draft that has become an image, while the kernel knows the node
// that it was. Its line has the node's number, the size and the time of the last
// change as the draft had them, in nanoseconds, and its id and the image's as the
// text: a process that follows knows neither from the disk.
type former struct {
	ledger.Line
	*draft
}

// fixedInfo is what is left of a draft's file.
type fixedInfo struct{ stat syscall.Stat_t }

var _ = (os.FileInfo)(fixedInfo{})

func (i fixedInfo) Name() string        { return "" }
func (i fixedInfo) Size() int64         { return i.stat.Size }
func (i fixedInfo) Mode() iofs.FileMode { return 0 }
func (i fixedInfo) ModTime() time.Time  { return time.Unix(i.stat.Mtim.Unix()) }
func (i fixedInfo) IsDir() bool         { return false }
func (i fixedInfo) Sys() any            { return &i.stat }

// number is that of the node as which the kernel knows a draft.
func (d *draft) number() uint64 {
	if image := d.known().Image; image != "" {
		return identity{"data", image}.number()
	}
	return d.identity().number()
}

// remember writes down that a draft becomes an image, before anything is done by
// which that could not be found out: who has it open goes on to have it open.
func (in *incoming) remember(w watched, u *upload, image string, info os.FileInfo) {
	if u.name != "" {
		in.mu.Lock()
		in.writeLink(u.name, linked{image, "/data"}, w)
		in.mu.Unlock()
	}
	in.keepFormer(w.draft, image, info)
}

// keepFormer writes down what a draft is an image of, if the kernel knows its node.
func (in *incoming) keepFormer(d *draft, image string, info os.FileInfo) {
	number := d.number()
	if _, ok := in.t.nodes.knows(number); !ok {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.became[number] != nil {
		return
	}
	f := &former{draft: d}
	f.Line = ledger.Line{Kind: lineBecame, Num: [6]uint64{number, uint64(info.Size()), uint64(info.ModTime().UnixNano())}, Text: d.id + " " + image}
	in.t.ledger.Add(&f.Line)
	in.became[number] = f
}

// lookedUp is told of a draft that the kernel has just been told of. One that is still
// a file to who asks, see watched, may have been forgotten since it became an image.
func (in *incoming) lookedUp(d *draft) {
	d.mu.Lock()
	image, info := d.image, d.fixed
	d.mu.Unlock()
	if image != "" {
		in.keepFormer(d, image, info)
	}
}

// forgotten is told of nodes that the kernel does not know any more. Those that it was
// told of again meanwhile stay.
func (in *incoming) forgotten(number uint64) {
	in.mu.Lock()
	f := in.became[number]
	if _, again := in.t.nodes.knows(number); f == nil || again {
		in.mu.Unlock()
		return
	}
	delete(in.became, number)
	in.mu.Unlock()
	in.t.ledger.Remove(&f.Line)
}

// recallFormer takes in one of the process before.
func (in *incoming) recallFormer(old *ledger.Line) {
	id, image, _ := strings.Cut(old.Text, " ")
	d := newDraft(in.dir, id, about{})
	d.image = image
	info := fixedInfo{}
	info.stat.Size, info.stat.Nlink = int64(old.Num[1]), 1
	info.stat.Blocks = (info.stat.Size + 511) / 512
	info.stat.Mtim = syscall.NsecToTimespec(int64(old.Num[2]))
	d.fixed = info
	in.mu.Lock()
	defer in.mu.Unlock()
	in.became[old.Num[0]] = &former{*old, d}
	in.made[image] = true
}

// readImage reads the image that the draft has become, as it was made, whatever has become
// of that since.
func (o *opening) readImage(ctx context.Context, image string, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	data := &imageData{node: node{t: o.in.t}, id: image}
	defer data.OnForget()
	o.mu.Lock()
	made := o.made
	o.mu.Unlock()
	if made.Size > 0 {
		data.mu.Lock()
		err := data.openAs(made)
		data.mu.Unlock()
		if err != nil {
			return nil, o.in.t.errno("read a draft", err)
		}
	}
	return data.Read(ctx, nil, dest, off)
}

// byNumber finds the draft that the kernel knows as a node.
func (in *incoming) byNumber(is identity) *draft {
	in.mu.Lock()
	defer in.mu.Unlock()
	if f := in.became[is.number()]; f != nil {
		return f.draft
	}
	if is.kind == "data" {
		return in.filling[is.id]
	}
	for _, d := range in.named {
		if d.id == is.id {
			return d
		}
	}
	return nil
}

// A line of a link in incoming/ has, as its text, the name, the image, the path
// within that, and the draft it was and who still watches that, see watched. Its
// number is the process of that.
func (in *incoming) keepLink(name string) {
	if l, ok := in.links[name]; ok {
		in.writeLink(name, l, in.watched[name])
	} else {
		in.dropLink(name)
	}
}

// writeLink writes the line of a link that is there, or is about to be, before it
// takes the last one of that name out: the process may end in between.
func (in *incoming) writeLink(name string, l linked, w watched) {
	old := in.kept[name]
	text := []string{name, l.image, l.path, "", w.started}
	if w.draft != nil {
		text[3] = w.id
	}
	kept := &ledger.Line{Kind: lineLink, Num: [6]uint64{uint64(w.process)}, Text: strings.Join(text, "\x00")}
	in.t.ledger.Add(kept)
	in.kept[name] = kept
	if old != nil {
		in.t.ledger.Remove(old)
	}
}

// dropLink takes the line of a link out. Called with mu held, as keepLink is.
func (in *incoming) dropLink(name string) {
	if old := in.kept[name]; old != nil {
		in.t.ledger.Remove(old)
		delete(in.kept, name)
	}
}

// recallLink takes in a link of the process before. A draft of that name has come
// later, or has not been done away with.
func (in *incoming) recallLink(old *ledger.Line) error {
	text := strings.Split(old.Text, "\x00")
	if len(text) != 5 {
		return fmt.Errorf("link %s: %w", strconv.Quote(old.Text), ledger.ErrFormat)
	}
	name := text[0]
	in.mu.Lock()
	defer in.mu.Unlock()
	in.made[text[1]] = true
	if last := in.links[name]; in.named[name] != nil || last == (linked{text[1], text[2]}) {
		in.t.ledger.Remove(old)
		return nil
	}
	in.links[name], in.kept[name] = linked{text[1], text[2]}, old
	for _, f := range in.became {
		if f.id == text[3] {
			in.watched[name] = watched{f.draft, int(old.Num[0]), text[4]}
		}
	}
	return nil
}
