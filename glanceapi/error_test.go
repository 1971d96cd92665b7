package glanceapi

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMessage(t *testing.T) {
	long := strings.Repeat("é", maxMessage)
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"json", `{"message": "No image found with ID x<br/>\n\n\n", "code": "404 Not Found", "title": "Not Found"}`, 404, "No image found with ID x"},
		{"json, text behind", `{"message": "Not available.<br/>\nStart MUST be in [0, 9].\n\n"}`, 416, "Not available. Start MUST be in [0, 9]."},
		{"addresses", `{"message":"no https://u:p@host:1/c/o?sig=abc#d, nor <a href='http://h/?x'>here</a> rbd://a/b 5://x@y?"}`, 500, "no https://host:1/c/o nor here rbd://a/b 5://x@y?"},
		{"keystone", `{"error":{"code":401,"message":"The request you have made requires authentication."}}`, 401, "The request you have made requires authentication."},
		{"html", "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image &amp; nothing<br /><br />\n </body>\n</html>", 404, "No image & nothing"},
		{"text", "404 Not Found\n\nNo image found\n", 404, "No image found"},
		{"no markup", "5 < 6 and 7 > 6", 400, "5 < 6 and 7 > 6"},
		{"escapes", "a\x1b[31mred\x00\xff\u202e", 500, "a [31mred \ufffd"},
		{"empty", "", 500, ""},
		{"long", long, 500, long[:maxMessage] + "…"},
		{"other json", `{"versions":[]}`, 300, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := message([]byte(c.body), c.status); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestErrorMeaning(t *testing.T) {
	sentinels := []error{fs.ErrNotExist, fs.ErrPermission, fs.ErrExist, fs.ErrInvalid, ErrConflict, ErrTooLarge, ErrProtected, errors.ErrUnsupported}
	for _, c := range []struct {
		status    int
		is        error
		temporary bool
	}{
		{400, fs.ErrInvalid, false}, {401, fs.ErrPermission, false}, {403, fs.ErrPermission, false}, {404, fs.ErrNotExist, false},
		{405, errors.ErrUnsupported, false}, {408, nil, true}, {409, ErrConflict, false}, {410, fs.ErrNotExist, false}, {413, ErrTooLarge, false},
		{415, fs.ErrInvalid, false}, {416, fs.ErrInvalid, false}, {429, nil, true}, {500, nil, true}, {502, nil, true}, {503, nil, true}, {300, nil, false},
	} {
		resp := &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader("")), Request: request(t)}
		err := error(answerError(resp))
		for _, s := range sentinels {
			if got := errors.Is(err, s); got != (s == c.is) {
				t.Errorf("%d: Is(%v) = %v", c.status, s, got)
			}
		}
		if Temporary(err) != c.temporary {
			t.Errorf("%d: Temporary = %v", c.status, !c.temporary)
		}
	}
}

func request(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://glance.example/v2/images/x?limit=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(requestIDHeader, "req-ours")
	return r
}

func TestErrorText(t *testing.T) {
	body := `{"message":"No image found with ID x<br/>\n\n"}`
	resp := &http.Response{StatusCode: 404, Body: io.NopCloser(strings.NewReader(body)), Request: request(t)}
	if got, want := answerError(resp).Error(), "GET /v2/images/x: 404 Not Found: No image found with ID x (req-ours)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	resp.Header = http.Header{requestIDHeader: {"req-theirs"}}
	if got := answerError(resp).RequestID; got != "req-theirs" {
		t.Errorf("request id %q, want the service's", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := netError(ctx, "GET /", "", io.ErrUnexpectedEOF); e.Temporary() || !errors.Is(e, context.Canceled) {
		t.Errorf("%v is temporary, or no cancellation", e)
	}
}

// A host that does not answer to a connection may do so later. What net says of one is
// an end of a context too, but of none that is the caller's.
func TestConnectionTimesOut(t *testing.T) {
	_, err := (&net.Dialer{Timeout: 1}).Dial("tcp", "127.0.0.1:1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("net has changed: %v", err)
	}
	if e := netError(t.Context(), "GET /", "", err); !e.Temporary() {
		t.Errorf("for good: %v", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	<-ctx.Done()
	if e := netError(ctx, "GET /", "", err); e.Temporary() {
		t.Errorf("the caller's time is over, for a while: %v", e)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "99999999": time.Hour,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}
