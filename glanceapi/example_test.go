package glanceapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"strings"

	"glancefs/glanceapi"
)

// An image service without Keystone, at an address. Without Endpoint the account
// comes from clouds.yaml or the OS_* variables.
func ExampleNew() {
	url, stop := serve()
	defer stop()
	c, err := glanceapi.New(context.Background(), glanceapi.Config{Endpoint: url})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Version())
	// Output: v2
}

// A service of 2011 is found to be one.
func ExampleConfig_v1() {
	url, stop := serve()
	defer stop()
	c, err := glanceapi.New(context.Background(), glanceapi.Config{Endpoint: url, APIVersion: "v1"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Version())
	// Output: v1
}

// All images there are to see, with all that is known of them.
func ExampleClient_Images() {
	c, stop := connect("v2", "demo")
	defer stop()
	add(c, glanceapi.NewImage{Name: "cirros", DiskFormat: "qcow2", ContainerFormat: "bare"}, "0123456789")
	add(c, glanceapi.NewImage{Name: "Ubuntu 10.10", Type: "machine", Visibility: "public"}, "01234")

	for page, err := range c.Images(context.Background(), glanceapi.Query{}) {
		if err != nil {
			log.Fatal(err)
		}
		for _, i := range page.Images {
			fmt.Println(i.Name, i.Status, i.Visibility, i.DiskFormat, i.Size)
		}
	}
	// Output:
	// Ubuntu 10.10 active public ami 5
	// cirros active shared qcow2 10
}

// Images of at most 5 GiB whose data is on its way, and those with a property.
func ExampleClient_Images_filters() {
	c, stop := connect("v1", "demo")
	defer stop()
	add(c, glanceapi.NewImage{Name: "cirros", Type: "raw", Properties: map[string]string{"distro": "cirros"}}, "0123456789")
	add(c, glanceapi.NewImage{Name: "Ubuntu", Type: "machine", Properties: map[string]string{"distro": "Ubuntu 10.10"}}, "01234")

	max := int64(5 << 30)
	for _, q := range []glanceapi.Query{
		{Status: "saving", SizeMax: &max},
		{Properties: map[string]string{"distro": "Ubuntu 10.10"}},
		{ContainerFormat: "bare", DiskFormat: "raw", Name: "cirros"},
	} {
		for page, err := range c.Images(context.Background(), q) {
			if err != nil {
				log.Fatal(err)
			}
			for _, i := range page.Images {
				fmt.Println(i.Name)
			}
		}
	}
	// Output:
	// Ubuntu
	// cirros
}

// Images by name, and the largest one.
func ExampleClient_Images_sort() {
	c, stop := connect("v1", "demo")
	defer stop()
	add(c, glanceapi.NewImage{Name: "b", Type: "raw"}, "0123456789")
	add(c, glanceapi.NewImage{Name: "c", Type: "raw"}, "012")
	add(c, glanceapi.NewImage{Name: "a", Type: "raw"}, "01")

	for _, q := range []glanceapi.Query{
		{Sort: "name", Ascending: true},
		{Sort: "size", Limit: 1},
	} {
		for page, err := range c.Images(context.Background(), q) {
			if err != nil {
				log.Fatal(err)
			}
			for _, i := range page.Images {
				fmt.Println(i.Name)
			}
		}
	}
	// Output:
	// a
	// b
	// c
	// b
}

// The metadata of one image.
func ExampleClient_Image() {
	c, stop := connect("v1", "demo")
	defer stop()
	id := add(c, glanceapi.NewImage{Name: "Ubuntu", Type: "machine", Properties: map[string]string{"distro": "Ubuntu 10.10"}}, "0123456789").ID

	i, err := c.Image(context.Background(), id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(i.Name, i.Size, i.Checksum, i.Properties)

	_, err = c.Image(context.Background(), "00000000-0000-4000-8000-000000000000")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// Ubuntu 10 781e5e245d69b566979b86e28d23f2c7 map[distro:Ubuntu 10.10]
	// true
}

// The data of an image, all of it. Where the service can seek a part may be
// asked for; what comes says where it starts.
func ExampleClient_OpenData() {
	c, stop := connect("v2", "demo")
	defer stop()
	id := add(c, glanceapi.NewImage{Name: "digits", Type: "raw"}, "0123456789").ID

	i, err := c.Image(context.Background(), id)
	if err != nil {
		log.Fatal(err)
	}
	for _, at := range []int64{0, 4} {
		d, err := c.OpenData(context.Background(), id, at, i.Size-at, i.Size)
		if err != nil {
			log.Fatal(err)
		}
		data, err := io.ReadAll(d.Body)
		d.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("from %d: %s\n", d.Start, data)
	}
	// Output:
	// from 0: 0123456789
	// from 4: 456789
}

// A new image without data, which is queued, and with it, which is active. An
// id may be chosen, once.
func ExampleClient_Create() {
	c, stop := connect("v1", "demo")
	defer stop()
	ctx := context.Background()

	n := glanceapi.NewImage{
		ID: "6f1c1b6e-4f2c-4c5b-9d5a-2f3e4d5c6b7a", Name: "Ubuntu 10.10 5G", Type: "machine", Visibility: "public",
		Properties: map[string]string{"distro": "Ubuntu 10.10"},
	}
	i, err := c.Create(ctx, n)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Stored image. Got identifier:", i.ID)
	fmt.Println(i.Status, i.DiskFormat, i.ContainerFormat)

	_, err = c.Create(ctx, n)
	fmt.Println("duplicate:", errors.Is(err, fs.ErrExist))
	_, err = c.Create(ctx, glanceapi.NewImage{Name: "odd", DiskFormat: "floppy", ContainerFormat: "bare"})
	fmt.Println("bad request:", errors.Is(err, fs.ErrInvalid))
	// Output:
	// Stored image. Got identifier: 6f1c1b6e-4f2c-4c5b-9d5a-2f3e4d5c6b7a
	// queued ami ami
	// duplicate: true
	// bad request: true
}

// The data of a queued image, with its MD5, which v1 services compare, and the
// store it is to go to.
func ExampleClient_Upload() {
	c, stop := connect("v1", "demo")
	defer stop()
	ctx := context.Background()
	i, err := c.Create(ctx, glanceapi.NewImage{Name: "digits", Type: "raw"})
	if err != nil {
		log.Fatal(err)
	}

	data := strings.NewReader("0123456789")
	err = c.Upload(ctx, i.ID, data, 10, glanceapi.UploadOptions{Store: "s4"})
	fmt.Println("unknown store:", errors.Is(err, fs.ErrInvalid))
	err = c.Upload(ctx, i.ID, data, 10, glanceapi.UploadOptions{Store: "file", MD5: "781e5e245d69b566979b86e28d23f2c7"})
	if err != nil {
		log.Fatal(err)
	}
	i, err = c.Image(ctx, i.ID)
	fmt.Println(i.Status, i.Size, err)
	err = c.Upload(ctx, i.ID, data, 10, glanceapi.UploadOptions{})
	fmt.Println("a second time:", errors.Is(err, glanceapi.ErrConflict))
	// Output:
	// unknown store: true
	// active 10 <nil>
	// a second time: true
}

// What is named changes, all else stays.
func ExampleClient_Update() {
	c, stop := connect("v2", "demo")
	defer stop()
	id := add(c, glanceapi.NewImage{Name: "old", Type: "raw", Tags: []string{"a"}, Properties: map[string]string{"distro": "Ubuntu", "x": "1"}}, "data").ID

	name, tags := "new", []string{"a", "b"}
	i, err := c.Update(context.Background(), id, glanceapi.Change{
		Name: &name, Tags: &tags, Set: map[string]string{"arch": "x86_64"}, Unset: []string{"x"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(i.Name, i.Tags, i.Properties)
	// Output: new [a b] map[arch:x86_64 distro:Ubuntu]
}

func ExampleClient_Delete() {
	c, stop := connect("v2", "demo")
	defer stop()
	ctx := context.Background()
	id := add(c, glanceapi.NewImage{Name: "one", Type: "raw", Protected: true}, "data").ID

	err := c.Delete(ctx, id)
	fmt.Println("protected:", errors.Is(err, glanceapi.ErrProtected))
	no := false
	if _, err := c.Update(ctx, id, glanceapi.Change{Protected: &no}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Delete(ctx, id))
	// Output:
	// protected: true
	// <nil>
}
