package fs

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"syscall"

	"glancefs/glanceapi"
)

const (
	fieldPrefix    = "user.glance."
	heldAttr       = "user.glancefs.cached"
	verifiedAttr   = "user.glancefs.verified"
	unverifiedAttr = "user.glancefs.unverified"
)

// attributes returns the extended attributes of an image: every key of
// meta.json that has a value, and every property by its own key. A property
// that is called like a field is shown by meta.json only.
func (t *tree) attributes(img glanceapi.Image) map[string]string {
	attrs := make(map[string]string)
	for k, v := range img.Properties {
		attrs[fieldPrefix+k] = v
	}
	b, _ := json.Marshal(t.describe(img))
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(b, &fields) // of our own making
	for k, raw := range fields {
		var s string
		switch {
		case k == "properties" || string(raw) == "null":
			continue
		case k == "tags":
			s = strings.Join(img.Tags, ",")
		case json.Unmarshal(raw, &s) != nil:
			s = string(raw)
		}
		attrs[fieldPrefix+k] = s
	}
	return attrs
}

// answer answers getxattr(2): the size needed, and ERANGE where dest is too short
// for it. A dest of no length asks for the size only.
func answer(value string, dest []byte) (uint32, syscall.Errno) {
	if len(dest) > 0 && len(value) > len(dest) {
		return uint32(len(value)), errnoRange
	}
	return uint32(copy(dest, value) + max(0, len(value)-len(dest))), 0
}

// getxattr returns one attribute of an image from what is known of it.
func (t *tree) getxattr(ctx context.Context, id, name string, dest []byte) (uint32, syscall.Errno) {
	switch {
	case name == errorAttr:
		return t.getReason("image/"+id, name, dest)
	case !strings.HasPrefix(name, fieldPrefix):
		return 0, t.errno("getxattr", errNoAttr)
	}
	img, err := t.catalog.recall(ctx, id)
	if err != nil {
		return 0, t.errno("getxattr", err)
	}
	value, ok := t.attributes(img)[name]
	if !ok {
		return 0, t.errno("getxattr", errNoAttr)
	}
	return answer(value, dest)
}

// listxattr returns the names of an image's attributes, and of more.
func (t *tree) listxattr(ctx context.Context, id string, dest []byte, more ...string) (uint32, syscall.Errno) {
	img, err := t.catalog.recall(ctx, id)
	if err != nil {
		return 0, t.errno("listxattr", err)
	}
	names := more
	if t.edits.reasons.get("image/"+id) != "" {
		names = append(names, errorAttr)
	}
	for name := range t.attributes(img) {
		// The kernel takes no longer names, and ends each with a NUL.
		if len(name) <= nameMax && !strings.Contains(name, "\x00") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return answerNames(names, dest)
}

// answerNames answers listxattr(2), each name with a NUL behind it.
func answerNames(names []string, dest []byte) (uint32, syscall.Errno) {
	if len(names) == 0 {
		return 0, 0
	}
	return answer(strings.Join(names, "\x00")+"\x00", dest)
}
