package glanceapi

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxErrorBody = 64 << 10
	maxMessage   = 500 // bytes
)

// answerError makes an error of an answer that is not what was asked for, and
// closes it.
func answerError(resp *http.Response) *Error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what came of it is better than nothing
	body = without(body, resp.Request.Header.Get(tokenHeader))
	e := &Error{
		Op:         opOf(resp.Request),
		Status:     resp.StatusCode,
		Message:    message(body, resp.StatusCode),
		RequestID:  requestID(resp),
		temporary:  statusTemporary(resp.StatusCode) && !crashed(body),
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	if err != nil && resp.StatusCode == http.StatusBadRequest && resp.Request.Method == http.MethodGet {
		e.temporary = true // what it means is in its words, which were cut off
	}
	if to := redirection(resp.StatusCode, resp.Header); to != "" {
		e.Message = to
	}
	if m := resp.Request.Method; resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge && m != http.MethodGet && m != http.MethodHead {
		e.means = ErrTooLarge // v1 writes an image's properties in them
	}
	return e
}

// redirection says where an answer sends us that was not followed; "" for any other.
func redirection(status int, h http.Header) string {
	to, _, _ := strings.Cut(h.Get("Location"), "?") // behind which signatures are
	if to == "" || status/100 != 3 {
		return ""
	}
	return oneLine("redirected to " + to + ", which was not followed")
}

// crashed recognises what a service of 2011 answers when a request makes it
// fail, which it will do every time.
func crashed(body []byte) bool {
	return bytes.Contains(body, []byte("Traceback (most recent call last)"))
}

// badAnswer is an answer that contradicts the protocol; asking again would not
// help. It leaves closing to the caller.
func badAnswer(resp *http.Response, why string) *Error {
	return &Error{Op: opOf(resp.Request), Status: resp.StatusCode, Message: oneLine(why), RequestID: requestID(resp)}
}

func opOf(r *http.Request) string { return r.Method + " " + r.URL.EscapedPath() }

// requestID prefers the id the service gave the request, by which its own log
// knows it, to ours.
func requestID(resp *http.Response) string {
	for _, h := range []http.Header{resp.Header, resp.Request.Header} {
		if id := h.Get(requestIDHeader); len(id) < 100 && strings.HasPrefix(id, "req-") {
			return oneLine(id)
		}
	}
	return ""
}

// message finds the words for people in an error's body: JSON as the image
// service and Keystone write it, HTML of web frameworks and proxies, or text.
func message(body []byte, status int) string {
	var doc struct {
		Message string
		Error   struct{ Message string }
	}
	text := string(body)
	if json.Unmarshal(body, &doc) == nil {
		text = doc.Message + doc.Error.Message
	} else if _, after, ok := strings.Cut(text, "</h1>"); ok {
		text = after // what comes before repeats the status
	}
	return strings.TrimSpace(strings.TrimPrefix(oneLine(text), statusLine(status)))
}

// tag matches HTML elements, and leaves "5 < 6" alone.
var tag = regexp.MustCompile(`(?s)<!--.*?-->|</?[A-Za-z!][^<>]*>`)

// address matches a URL: what is before the user, the user, host and path, and
// what is behind.
var address = regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9+.-]*://)([^\s"'<>/?#]*@)?([^\s"'<>?#]*)([?#][^\s"'<>]*)?`)

// plainAddresses takes out of URLs what lets in whoever knows it: passwords and
// signatures.
func plainAddresses(s string) string { return address.ReplaceAllString(s, "$1$3") }

// without takes secrets out of what a service says, which some repeat. What is
// too short for one would only garble the words.
func without(words []byte, secrets ...string) []byte {
	for _, secret := range secrets {
		if len(secret) >= 6 {
			words = bytes.ReplaceAll(words, []byte(secret), []byte("[secret]"))
		}
	}
	return words
}

// oneLine strips markup, control characters, runs of blanks and what is secret in
// URLs, and bounds the length: s comes from the network and goes to logs and
// terminals.
func oneLine(s string) string {
	s = plainAddresses(html.UnescapeString(tag.ReplaceAllString(s, " ")))
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if s, err := strconv.Atoi(value); err == nil && s > 0 {
		return time.Duration(min(s, 3600)) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil && t.After(now) {
		return min(t.Sub(now), time.Hour)
	}
	return 0
}
