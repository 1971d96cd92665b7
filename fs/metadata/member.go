package metadata

import (
	"encoding/json"
	"fmt"
	iofs "io/fs"
	"maps"
	"slices"

	"glancefs/glanceapi"
)

// Member is the schema of members/WHO and of one element of members.json.
type Member struct {
	ID       string  `json:"member_id"`
	Status   *string `json:"status"`
	CanShare *bool   `json:"can_share"`
}

// DescribeMember returns what is said of a member.
func DescribeMember(m glanceapi.Member) Member {
	return Member{ID: m.ID, Status: value(m.Status), CanShare: m.CanShare}
}

// ReadMember reads a member that somebody has written, by its keys. null, and
// what is left out, says nothing. Errors are io/fs.ErrInvalid.
func ReadMember(text []byte) (glanceapi.Member, error) {
	var m glanceapi.Member
	keys, err := Parse(text)
	if err != nil {
		return m, err
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		place, ok := map[string]any{"member_id": &m.ID, "status": &m.Status, "can_share": &m.CanShare}[key]
		if !ok {
			return m, noSuchKey(key)
		}
		if json.Unmarshal(keys[key], place) != nil {
			return m, notThat(key, keys[key])
		}
	}
	return m, nil
}

// ReadMembers reads a list of members, each of which has an id. Errors are
// io/fs.ErrInvalid.
func ReadMembers(text []byte) ([]glanceapi.Member, error) {
	var list []json.RawMessage
	if err := decodeJSON(text, &list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("null is not what belongs here: %w", iofs.ErrInvalid)
	}
	all := make([]glanceapi.Member, len(list))
	for i, raw := range list {
		m, err := ReadMember(raw)
		if err == nil && m.ID == "" {
			err = fmt.Errorf("no member_id: %w", iofs.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("member %d of the list: %w", i+1, err)
		}
		all[i] = m
	}
	return all, nil
}
