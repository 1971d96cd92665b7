package glanceapi_test

import (
	"context"
	"log"
	"net/http/httptest"
	"os"
	"strings"

	"glancefs/glanceapi"
	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// The examples ask a server of their own. It speaks v1 and v2 and believes a
// token of the form user:project:role.
func serve() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "example-*")
	if err != nil {
		log.Fatal(err)
	}
	images, err := server.New(dir)
	if err != nil {
		log.Fatal(err)
	}
	h := httptest.NewServer(glancetest.Over(images))
	return h.URL, func() {
		h.Close()
		os.RemoveAll(dir)
	}
}

// connect returns a client of a new server for one project.
func connect(version, project string) (c *glanceapi.Client, stop func()) {
	url, end := serve()
	c, err := glanceapi.New(context.Background(), glanceapi.Config{Endpoint: url, Token: "me:" + project + ":member,admin", APIVersion: version})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		c.Close()
		end()
	}
}

// add makes an image with data.
func add(c *glanceapi.Client, n glanceapi.NewImage, data string) glanceapi.Image {
	i, err := c.Create(context.Background(), n)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Upload(context.Background(), i.ID, strings.NewReader(data), int64(len(data)), glanceapi.UploadOptions{}); err != nil {
		log.Fatal(err)
	}
	return i
}
