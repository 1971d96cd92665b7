package glanceapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// endpointVersion matches the version an endpoint may end in.
var endpointVersion = regexp.MustCompile(`/v[0-9]+(\.[0-9]+)?$`)

// splitEndpoint checks an endpoint as it was configured or came from a catalog
// and takes the version off its end.
func splitEndpoint(endpoint string) (base, version string, err error) {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", "", errors.New("not an http or https URL") // it may hold a password
	case u.User != nil:
		return "", "", errors.New("a URL with a user name or password in it")
	case u.RawQuery != "" || u.Fragment != "":
		return "", "", errors.New("a URL with a query")
	}
	u.Host = strings.ToLower(u.Host)
	base = strings.TrimRight(u.String(), "/")
	version = endpointVersion.FindString(base)
	base = strings.TrimRight(strings.TrimSuffix(base, version), "/")
	return base, strings.TrimPrefix(version, "/"), nil
}

// unversioned stands for the API of the first two releases, whose paths have no
// version, in a list of versions.
const unversioned = "v1 without a version"

// discover finds the version of the API to speak at c's endpoint, and sets
// c.base. want is v1, v2 or "" for the newest. The links in the answer are not
// looked at: they often show an address that only the service itself can reach.
func discover(ctx context.Context, c *conn, want string) (dialect, error) {
	base, named, err := splitEndpoint(c.base)
	if err != nil {
		return nil, fmt.Errorf("the image service's endpoint: %w", err)
	}
	c.base = base
	versions, err := retry(ctx, patience{again: startBudget}, &c.count.retries, c.versions)
	var e *Error
	if errors.As(err, &e) && e.Status == 0 {
		return nil, &Error{Op: "image service " + base, Err: unreachable(e.Err), Message: e.Message, temporary: e.temporary}
	}
	// Some clouds hide the list. An endpoint that names its version is believed.
	sure := err == nil && !c.unproven()
	if err != nil && !Temporary(err) && (strings.HasPrefix(named, "v1") || strings.HasPrefix(named, "v2")) {
		versions, err = []string{named}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("image service %s: %w", base, err)
	}
	d, err := c.choose(versions, want)
	if err == nil && !sure {
		_, err = retry(ctx, patience{again: startBudget}, &c.count.retries, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, d.check(ctx)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("image service %s: %w", base, err)
	}
	return d, nil
}

// choose takes the newest of the versions that are spoken here.
func (c *conn) choose(versions []string, want string) (dialect, error) {
	has := func(prefix string) bool {
		return slices.ContainsFunc(versions, func(v string) bool { return strings.HasPrefix(v, prefix) })
	}
	switch {
	case want != "v1" && has("v2"):
		return v2{c}, nil
	case want != "v2" && slices.Contains(versions, unversioned):
		return newV1(c, ""), nil
	case want != "v2" && has("v1"):
		return newV1(c, "/v1"), nil
	case want == "":
		want = "v1 or v2"
	}
	return nil, fmt.Errorf("it speaks only %s, not %s", oneLine(strings.Join(versions, ", ")), want)
}

// unproven reports whether a list of versions says too little: it is given to
// anybody, whatever their token, and under every path, since a path that the
// service does not know is answered with the list too. Keystone has seen the
// token and tells the path.
func (c *conn) unproven() bool {
	token, given := c.auth.(fixedToken)
	u, err := url.Parse(c.base)
	return given && (token != "" || err == nil && u.Path != "")
}

// versions asks for the ids of the versions at c's endpoint. GET / lists them
// in every release that has a list; GET /versions answers 200 where GET / has
// the status 300, which some proxies do not let through.
func (c *conn) versions(ctx context.Context) ([]string, error) {
	v, err := c.versionsAt(ctx, "/versions")
	if err == nil || Temporary(err) {
		return v, err
	}
	return c.versionsAt(ctx, "/")
}

func (c *conn) versionsAt(ctx context.Context, path string) ([]string, error) {
	resp, err := c.do(ctx, c.http, get(&c.count.metadata, path, nil, http.StatusOK, http.StatusMultipleChoices))
	if err != nil {
		return nil, err
	}
	b, err := c.whole(ctx, resp)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Versions []struct{ ID string }
		Images   json.RawMessage // in the first releases, which list them at /
	}
	if json.Unmarshal(b, &doc) != nil || len(doc.Versions) == 0 && !isList(doc.Images) {
		return nil, badAnswer(resp, "no list of versions: this is not an image service")
	}
	if isList(doc.Images) {
		return []string{unversioned}, nil
	}
	var ids []string
	for _, v := range doc.Versions {
		ids = append(ids, v.ID)
	}
	return ids, nil
}

// lists fails unless there is a list of images at path, for this token. It asks once.
func (c *conn) lists(ctx context.Context, path string) error {
	resp, err := c.do(ctx, c.http, get(&c.count.metadata, path, nil, http.StatusOK))
	if err != nil {
		return err
	}
	b, err := c.whole(ctx, resp)
	if err != nil {
		return err
	}
	var doc struct{ Images json.RawMessage }
	if json.Unmarshal(b, &doc) != nil || !isList(doc.Images) {
		return badAnswer(resp, "no list of images: this is not an image service")
	}
	return nil
}
