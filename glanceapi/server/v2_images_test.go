package server

import (
	"strings"
	"testing"
)

func TestCreate(t *testing.T) {
	s := newSite(t)
	id := "11111111-1111-4111-8111-111111111111"
	made := s.do(t, ask{method: "POST", path: "/v2/images", token: demo, body: `{"id":"` + id + `","name":null,"tags":["a","a"],"x/y":"1"}`})
	at := made.field("created_at").(string)
	want := `{"x/y": "1", "name": null, "disk_format": null, "container_format": null, "visibility": "shared", "size": null, ` +
		`"virtual_size": null, "status": "queued", "checksum": null, "protected": false, "min_ram": 0, "min_disk": 0, "owner": "demo", ` +
		`"os_hidden": false, "os_hash_algo": null, "os_hash_value": null, "id": "` + id + `", "created_at": "` + at + `", "updated_at": "` + at + `", ` +
		`"tags": ["a"], "self": "/v2/images/` + id + `", "file": "/v2/images/` + id + `/file", "schema": "/v2/schemas/image"}`
	if made.status != 201 || made.body != want {
		t.Errorf("%d %s\nwant %s", made.status, made.body, want)
	}
	if got, want := made.header.Get("Location"), s.url+"/v2/images/"+id; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if len(at) != len("2006-01-02T15:04:05Z") {
		t.Errorf("created_at is %q", at)
	}
}

func TestCreateRefusals(t *testing.T) {
	s := newSite(t)
	used := s.put(t, Record{}, "x")
	schema := "Provided object does not match schema 'image': "
	for _, c := range []struct {
		body    string
		status  int
		message string
	}{
		{`{"id":"` + used + `"}`, 409, "Image ID " + used + " already exists!"},
		{`{"id":"nope"}`, 400, schema + "'nope' does not match '" + uuidPattern + "'"},
		{`{"status":"active"}`, 403, "Attribute 'status' is read-only."},
		{`{"self":"x"}`, 403, "Attribute 'self' is read-only."},
		{`{"locations":[]}`, 403, "Attribute 'locations' is reserved."},
		{`{"os_glance_x":"y"}`, 403, "Access was denied to this resource.Attribute 'os_glance_x' is reserved."},
		{`{"owner":"someoneelse"}`, 403, "You are not permitted to create images owned by 'someoneelse'."},
		{`{"visibility":"public"}`, 403, "You are not authorized to complete publicize_image action."},
		{`{"visibility":"nope"}`, 400, schema + "'nope' is not one of ['community', 'public', 'private', 'shared']"},
		{`{"prop":5}`, 400, schema + "5 is not of type 'string'"},
		{`{"prop":true}`, 400, schema + "True is not of type 'string'"},
		{`{"name":5}`, 400, schema + "5 is not of type 'null', 'string'"},
		{`{"name":"` + strings.Repeat("a", 256) + `"}`, 400, schema + "'" + strings.Repeat("a", 256) + "' is too long"},
		{`{"name":"emoji 😀"}`, 400, "Name can't contain 4 byte unicode characters."},
		{`{"min_disk":-1}`, 400, "Invalid value '-1' for parameter 'min_disk': Cannot be a negative value"},
		{`{"min_ram":1.5}`, 400, schema + "1.5 is not of type 'integer'"},
		{`{"protected":"yes"}`, 400, schema + "'yes' is not of type 'boolean'"},
		{`{"tags":"a"}`, 400, schema + "'a' is not of type 'array'"},
		{`{"tags":[5]}`, 400, schema + "5 is not of type 'string'"},
		{`xx`, 400, "Malformed JSON in request body."},
		{`{"name":"` + "\xff" + `"}`, 400, "Malformed JSON in request body."},
		{``, 400, "Body expected in request."},
		{`{"x":"` + strings.Repeat("a", maxJSON) + `"}`, 413, "Request is too large."},
	} {
		got := s.do(t, ask{method: "POST", path: "/v2/images", token: demo, body: c.body})
		if got.status != c.status || got.message() != c.message {
			t.Errorf("POST %.60s: %d %q, want %d %q", c.body, got.status, got.message(), c.status, c.message)
		}
	}
}

func TestNames(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{`null`, `""`, `"a/b"`, `".."`, `"x\ny"`, `"x\u0000y"`, `"` + strings.Repeat("語", 255) + `"`} {
		got := s.do(t, ask{method: "POST", path: "/v2/images", body: `{"name":` + name + `}`})
		if got.status != 201 || !strings.Contains(got.body, `"name": `+name+`,`) {
			t.Errorf("name %s: %d %s", name, got.status, got.body)
		}
	}
}

func TestDelete(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo", Protected: true, Visibility: "community"}, "x")
	path := "/v2/images/" + id
	for _, c := range []struct {
		token   string
		status  int
		message string
	}{
		{admin, 403, "Image " + id + " is protected and cannot be deleted."},
		{other, 403, "You do not own this image"},
		{demo, 204, ""},
		{demo, 404, "Failed to find image " + id + " to delete"},
		{admin, 404, "Failed to find image " + id + " to delete"},
	} {
		if c.status == 204 {
			s.do(t, ask{method: "PATCH", path: path, token: demo, media: patchV21, body: `[{"op":"replace","path":"/protected","value":false}]`})
		}
		got := s.do(t, ask{method: "DELETE", path: path, token: c.token})
		if got.status != c.status || got.message() != c.message {
			t.Errorf("DELETE as %s: %d %q, want %d %q", c.token, got.status, got.message(), c.status, c.message)
		}
	}
}

func TestTags(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo", Visibility: "community"}, "x")
	path := "/v2/images/" + id + "/tags/"
	for _, c := range []struct {
		method, tag, token string
		status             int
	}{
		{"PUT", "t", demo, 204}, {"PUT", "t", demo, 204}, {"PUT", "t", other, 403}, {"DELETE", "t", other, 403},
		{"PUT", strings.Repeat("t", 256), demo, 400}, {"GET", "t", demo, 405},
		{"DELETE", "t", demo, 204}, {"DELETE", "t", demo, 404},
	} {
		if got := s.do(t, ask{method: c.method, path: path + c.tag, token: c.token}); got.status != c.status {
			t.Errorf("%s %.10s as %s: %d, want %d", c.method, c.tag, c.token, got.status, c.status)
		}
	}
}

func TestPatch(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo", Properties: map[string]string{"p": "v"}}, "x")
	denied := "Access was denied to this resource."
	for _, c := range []struct {
		body    string
		status  int
		message string
	}{
		{`[]`, 200, ""},
		{`[{"op":"replace","path":"/p","value":"w"},{"op":"add","path":"/x~1y","value":"slash"}]`, 200, ""},
		{`[{"op":"add","path":"/name","value":"new"},{"op":"remove","path":"/p"}]`, 200, ""},
		{`[{"op":"replace","path":"/name","value":null},{"op":"replace","path":"/tags","value":["a","b"]}]`, 200, ""},
		{`[{"op":"replace","path":"/nosuch","value":"u"}]`, 409, "There was a conflict when trying to complete your request.Property nosuch does not exist."},
		{`[{"op":"add","path":"/good","value":"1"},{"op":"remove","path":"/nosuch"}]`, 409, "There was a conflict when trying to complete your request.Property nosuch does not exist."},
		{`[{"op":"remove","path":"/name"}]`, 403, denied + "Property name may not be removed."},
		{`[{"op":"test","path":"/name","value":"x"}]`, 400, "Invalid operation: `test`. It must be one of the following: add, remove, replace."},
		{`[{"op":"add","path":"/tags/-","value":"c"}]`, 400, "Invalid JSON pointer for this resource: '/tags/-'"},
		{`[{"op":"add","path":"/~2","value":"c"}]`, 400, "Pointer `/~2` contains \"~\" not part of a recognized escape sequence."},
		{`[{"op":"add","path":"a","value":"c"}]`, 400, "Pointer `a` does not start with \"/\"."},
		{`[{"op":"add","path":"/a"}]`, 400, `Operation "add" requires a member named "value".`},
		{`[{"op":"replace","path":"/size","value":5}]`, 403, "Attribute 'size' is read-only."},
		{`[{"op":"replace","path":"/id","value":"z"}]`, 403, "Attribute 'id' is read-only."},
		{`[{"op":"replace","path":"/disk_format","value":"raw"}]`, 403, "Attribute disk_format can be only replaced for a queued image."},
		{`[{"op":"replace","path":"/visibility","value":"public"}]`, 403, "You are not authorized to complete publicize_image action."},
		{`[{"op":"replace","path":"/owner","value":"z"}]`, 403, denied + "Owner can't be updated by non admin."},
		{`{}`, 400, "Request body must be a JSON array of operation objects."},
		{`[5]`, 400, "Operations must be JSON objects."},
		{`xx`, 400, "Malformed JSON in request body."},
	} {
		before, _ := s.Image(id)
		got := s.do(t, ask{method: "PATCH", path: "/v2/images/" + id, token: demo, media: patchV21, body: c.body})
		after, _ := s.Image(id)
		if got.status != c.status || got.message() != c.message {
			t.Errorf("PATCH %s: %d %q, want %d %q", c.body, got.status, got.message(), c.status, c.message)
		}
		if changed, want := !after.UpdatedAt.Equal(before.UpdatedAt), c.status == 200 && c.body != "[]"; changed != want {
			t.Errorf("PATCH %s: updated_at changed: %v, want %v", c.body, changed, want)
		}
	}
	rec, _ := s.Image(id)
	if len(rec.Properties) != 1 || rec.Properties["x/y"] != "slash" || rec.Name != nil || len(rec.Tags) != 2 {
		t.Errorf("in the end: %+v", rec)
	}
}

func TestPatchMedia(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo", Visibility: "community"}, "x")
	for _, c := range []struct {
		media, token, body string
		status             int
	}{
		{"application/json", demo, `[]`, 415},
		{patchV20, demo, `[{"replace":"/name","value":"old"},{"add":"/q","value":"1"}]`, 200},
		{patchV20, demo, `[{"nonsense":"/name","value":"old"}]`, 400},
		{patchV21, other, `[]`, 403},
		{patchV21, admin, `[{"op":"replace","path":"/owner","value":"other"},{"op":"replace","path":"/visibility","value":"public"}]`, 200},
	} {
		got := s.do(t, ask{method: "PATCH", path: "/v2/images/" + id, token: c.token, media: c.media, body: c.body})
		if got.status != c.status {
			t.Errorf("PATCH %s %s: %d, want %d", c.media, c.body, got.status, c.status)
		}
		if got.status == 415 && got.header.Get("Accept-Patch") != patchV20+", "+patchV21 {
			t.Errorf("Accept-Patch: %q", got.header.Get("Accept-Patch"))
		}
	}
}

func TestMembers(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo"}, "x")
	private := s.put(t, Record{Owner: "demo", Visibility: "private"}, "x")
	no := " members for image " + id + "."
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		message                   string
	}{
		{"GET", private + "/members", demo, "", 403, "Not allowed to list members for image " + private + ": Only shared images have members."},
		{"GET", private + "/members/x", demo, "", 404, "Only shared images have members."},
		{"POST", private + "/members", demo, `{"member":"x"}`, 403, "Not allowed to create members for image " + private + "."},
		{"GET", id + "/members", other, "", 404, "Image " + id + " not found."},
		{"POST", id + "/members", demo, `{"member":"other"}`, 200, ""},
		{"POST", id + "/members", demo, `{"member":"other"}`, 409, "Member other is duplicated for image " + id},
		{"POST", id + "/members", demo, `{"member":"third"}`, 200, ""},
		{"POST", id + "/members", demo, `{"member":""}`, 400, "Member can't be empty"},
		{"POST", id + "/members", demo, `{"member_id":"x"}`, 400, "Member to be added not specified"},
		{"POST", id + "/members", other, `{"member":"x"}`, 403, "Not allowed to create" + no},
		{"GET", id + "/members/other", other, "", 200, ""},
		{"GET", id + "/members/third", other, "", 404, "third not found in the member list of the image " + id + "."},
		{"PUT", id + "/members/other", demo, `{"status":"accepted"}`, 403, "Not allowed to update" + no},
		{"PUT", id + "/members/other", other, `{"status":"maybe"}`, 400, `Incorrect request: Status must be "pending", "accepted" or "rejected".`},
		{"PUT", id + "/members/other", other, `{"can_share":true}`, 400, "Status not specified"},
		{"PUT", id + "/members/other", other, `{"status":"accepted"}`, 200, ""},
		{"PUT", id + "/members/other", admin, `{"status":"rejected"}`, 200, ""},
		{"DELETE", id + "/members/other", other, "", 403, "Not allowed to delete" + no},
		{"PUT", id + "/members", demo, `{"memberships":[]}`, 405, "The method PUT is not allowed for this resource."},
		{"DELETE", id + "/members/other", demo, "", 204, ""},
		{"DELETE", id + "/members/other", demo, "", 404, "other not found in the member list of the image " + id + "."},
	} {
		got := s.do(t, ask{method: c.method, path: "/v2/images/" + c.path, token: c.token, body: c.body})
		if got.status != c.status || got.message() != c.message {
			t.Errorf("%s %s %s as %s: %d %q, want %d %q", c.method, c.path, c.body, c.token, got.status, got.message(), c.status, c.message)
		}
	}
	if got := s.do(t, ask{method: "GET", path: "/v2/images/" + id, token: other}); got.status != 404 {
		t.Errorf("a former member sees the image: %d", got.status)
	}
}
