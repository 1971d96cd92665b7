package glanceapi

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeImage(t *testing.T) {
	unknown := Image{Size: UnknownSize, VirtualSize: UnknownSize}
	with := func(f func(*Image)) Image { i := unknown; f(&i); return i }
	for _, c := range []struct {
		name, doc string
		want      Image
	}{
		{"nothing", `{}`, unknown},
		{"nulls", `{"name":null,"size":null,"virtual_size":null,"checksum":null,"owner":null,"min_disk":null,"tags":null,"updated_at":null,"protected":null}`, unknown},
		{"own paths", `{"self":"/v2/images/x","file":"/v2/images/x/file","schema":"/v2/schemas/image"}`, unknown},
		{"where the data lies", `{"direct_url":"swift+https://u:p@host/c","locations":[{"url":"file://x","metadata":{}}]}`, unknown},
		{"raw name", "{\"name\":\"caf\xe9\"}", with(func(i *Image) { i.Name = "caf\xe9" })},
		{"number as id", `{"id":7}`, with(func(i *Image) { i.ID = "7" })},
		{"wrong types", `{"size":"12","min_ram":"x","protected":1,"tags":"a","created_at":5}`, unknown},
		{"impossible sizes", `{"size":-5,"virtual_size":1e99,"min_disk":-1}`, unknown},
		{"tags", `{"tags":["b","a",null]}`, with(func(i *Image) { i.Tags = []string{"", "a", "b"} })},
		{"upper case sums", `{"checksum":"AB","os_hash_algo":"SHA512","os_hash_value":"CD"}`, with(func(i *Image) { i.Checksum, i.HashAlgo, i.HashValue = "ab", "sha512", "cd" })},
		{"properties", `{"a":"1","x/y":"2","":"3","n":5,"t":true,"z":null,"l":[ "a", 1 ],"stores":"fast"}`,
			with(func(i *Image) {
				i.Properties = map[string]string{"a": "1", "x/y": "2", "": "3", "n": "5", "t": "true", "z": "null", "l": `["a",1]`, "stores": "fast"}
			})},
		{"all", `{"id":"i","name":"n","status":"active","visibility":"shared","protected":true,"os_hidden":true,"owner":"o","size":10,"virtual_size":20,
			"disk_format":"raw","container_format":"bare","checksum":"c","os_hash_algo":"sha512","os_hash_value":"v","min_disk":1,"min_ram":2,
			"created_at":"2026-11-22T05:02:20Z","updated_at":"2026-11-22T06:02:20.25+01:00"}`,
			Image{ID: "i", Name: "n", Status: "active", Visibility: "shared", Protected: true, Hidden: true, Owner: "o", Size: 10, VirtualSize: 20,
				DiskFormat: "raw", ContainerFormat: "bare", Checksum: "c", HashAlgo: "sha512", HashValue: "v", MinDisk: 1, MinRAM: 2,
				CreatedAt: time.Date(2026, 11, 22, 5, 2, 20, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 22, 5, 2, 20, 25e7, time.UTC)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decodeImageV2([]byte(c.doc))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2011-03-04T05:06:07":        time.Date(2011, 3, 4, 5, 6, 7, 0, time.UTC),
		"2011-03-04T05:06:07.248313": time.Date(2011, 3, 4, 5, 6, 7, 248313000, time.UTC),
		"2011-03-04T05:06:07Z":       time.Date(2011, 3, 4, 5, 6, 7, 0, time.UTC),
		"2011-03-04T05:06:07.5Z":     time.Date(2011, 3, 4, 5, 6, 7, 5e8, time.UTC),
		"yesterday":                  {},
		"":                           {},
		"2011-13-04T05:06:07Z":       {},
	} {
		if got := parseTime(s); !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, want %v", s, got, want)
		}
	}
}

func FuzzDecodeImage(f *testing.F) {
	f.Add([]byte(`{"id":"i","size":1,"tags":["a"],"x":{"y":[1]}}`))
	f.Add([]byte("{\"name\":\"\xff\",\"size\":1e3}"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		i, err := decodeImageV2(doc)
		if err == nil && (i.Size < UnknownSize || i.MinDisk < 0 || i.MinRAM < 0) {
			t.Errorf("%q gives %+v", doc, i)
		}
	})
}
