package server

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
)

// A problem is an error that the client is told.
type problem struct {
	status int
	text   string
	detail string // a second line, or ""
	header http.Header
}

func newProblem(status int, format string, args ...any) *problem {
	return &problem{status: status, text: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *problem {
	return newProblem(http.StatusBadRequest, format, args...)
}

func forbidden(format string, args ...any) *problem {
	return newProblem(http.StatusForbidden, format, args...)
}

func notFound(format string, args ...any) *problem {
	return newProblem(http.StatusNotFound, format, args...)
}

func conflict(format string, args ...any) *problem {
	return newProblem(http.StatusConflict, format, args...)
}

// noResource is the answer to a path that means nothing.
func noResource() *problem {
	return notFound("The resource could not be found.")
}

func (p *problem) withDetail(format string, args ...any) *problem {
	p.detail = fmt.Sprintf(format, args...)
	return p
}

func (p *problem) withHeader(key, value string) *problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(key, value)
	return p
}

func (p *problem) Error() string {
	return strings.TrimSpace(p.text + " " + p.detail)
}

// title is the reason phrase, with Glance's own for 416.
func (p *problem) title() string {
	if p.status == http.StatusRequestedRangeNotSatisfiable {
		return "Request Range Not Satisfiable"
	}
	return http.StatusText(p.status)
}

// write answers in the form that the Accept header asks for. Glance speaks
// HTML to whoever does not ask for JSON or plain text by name.
func (p *problem) write(w http.ResponseWriter, r *http.Request) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	code := strconv.Itoa(p.status) + " " + p.title()
	accept := r.Header.Get("Accept")
	if r.Method == http.MethodHead {
		accept = ""
	}
	var body []byte
	switch {
	case strings.Contains(accept, "application/json"):
		var o object
		o.str("message", p.text+"<br /><br />\n"+p.detail+"\n\n").str("code", code).str("title", p.title())
		w.Header().Set("Content-Type", "application/json")
		body = o.bytes()
	case strings.Contains(accept, "text/plain") && !strings.Contains(accept, "html"):
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		body = []byte(code + "\n\n" + p.text + "\n\n" + p.detail + "\n")
	default:
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		body = fmt.Appendf(nil, "<html>\n <head>\n  <title>%s</title>\n </head>\n <body>\n  <h1>%[1]s</h1>\n  %s<br /><br />\n%s\n\n\n </body>\n</html>",
			code, html.EscapeString(p.text), html.EscapeString(p.detail))
	}
	if r.Method == http.MethodHead {
		body = nil
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.status)
	w.Write(body)
}
