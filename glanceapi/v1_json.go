package glanceapi

import (
	"encoding/json"
	"strings"
)

// decodeRecordV1 reads an image as lists and answers to changes have it. Ids are
// numbers in the releases of 2011.
func decodeRecordV1(doc []byte) (recordV1, error) {
	r := recordV1{Image: Image{Size: UnknownSize, VirtualSize: UnknownSize}}
	var derr error
	err := eachField(doc, func(key string, value json.RawMessage) {
		if key != "properties" {
			r.set(key, scalar(value))
			return
		}
		if string(value) == "null" {
			return
		}
		derr = eachField(value, func(k string, v json.RawMessage) {
			if r.Properties == nil {
				r.Properties = map[string]string{}
			}
			r.Properties[k] = text(v)
		})
	})
	if err == nil {
		err = derr
	}
	r.settle()
	return r, err
}

// scalar is a value as a header would have it.
func scalar(v json.RawMessage) string {
	s := text(v)
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
		return ""
	}
	return s
}

// decodeImageV1 reads the answer to a change, {"image": {...}}.
func decodeImageV1(doc []byte) (recordV1, error) {
	var d struct{ Image json.RawMessage }
	if err := json.Unmarshal(doc, &d); err != nil {
		return recordV1{}, err
	}
	if d.Image == nil {
		return recordV1{}, errNoObject
	}
	return decodeRecordV1(d.Image)
}

func decodeMemberImageV1(doc []byte) (MemberImage, error) {
	i := MemberImage{CanShare: new(bool)}
	err := eachField(doc, func(key string, value json.RawMessage) {
		switch key {
		case "image_id":
			i.ID = text(value)
		case "can_share":
			*i.CanShare = truth(value)
		}
	})
	return i, err
}

func decodeMemberV1(doc []byte) (Member, error) {
	m := Member{CanShare: new(bool)}
	err := eachField(doc, func(key string, value json.RawMessage) {
		switch key {
		case "member_id":
			m.ID = text(value)
		case "can_share":
			*m.CanShare = truth(value)
		}
	})
	return m, err
}
