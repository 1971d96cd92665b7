package glanceapi_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"

	"glancefs/glanceapi"
)

// Who an image is shared with.
func ExampleClient_Members() {
	c, stop := connect("v1", "demo")
	defer stop()
	ctx := context.Background()
	id := add(c, glanceapi.NewImage{Name: "one", Type: "raw"}, "data").ID

	yes := true
	for _, m := range []glanceapi.Member{{ID: "tenant1"}, {ID: "tenant2", CanShare: &yes}} {
		if err := c.AddMember(ctx, id, m); err != nil {
			log.Fatal(err)
		}
	}
	members, err := c.Members(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range members {
		fmt.Println(m.ID, *m.CanShare)
	}
	// Output:
	// tenant1 false
	// tenant2 true
}

// The images that a tenant was given.
func ExampleClient_MemberImages() {
	c, stop := connect("v1", "demo")
	defer stop()
	ctx := context.Background()
	id := add(c, glanceapi.NewImage{Name: "one", Type: "raw"}, "data").ID
	if err := c.AddMember(ctx, id, glanceapi.Member{ID: "tenant1"}); err != nil {
		log.Fatal(err)
	}

	images, err := c.MemberImages(ctx, "tenant1")
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range images {
		fmt.Println(i.ID == id, *i.CanShare)
	}
	// Output: true false
}

// Whoever is a member already stays as it is, unless it is said how it is to be.
func ExampleClient_AddMember() {
	c, stop := connect("v1", "demo")
	defer stop()
	ctx := context.Background()
	id := add(c, glanceapi.NewImage{Name: "one", Type: "raw"}, "data").ID

	yes := true
	for _, m := range []glanceapi.Member{{ID: "tenant1"}, {ID: "tenant1", CanShare: &yes}, {ID: "tenant1"}} {
		if err := c.AddMember(ctx, id, m); err != nil {
			log.Fatal(err)
		}
		members, err := c.Members(ctx, id)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(members[0].ID, *members[0].CanShare)
	}
	// Output:
	// tenant1 false
	// tenant1 true
	// tenant1 true
}

// In v2 a project says itself whether it wants to see an image in its lists.
func ExampleClient_SetMember() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	as := func(project string) *glanceapi.Client {
		c, err := glanceapi.New(ctx, glanceapi.Config{Endpoint: url, Token: "me:" + project + ":member"})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	owner, consumer := as("owner"), as("consumer")
	defer owner.Close()
	defer consumer.Close()
	id := add(owner, glanceapi.NewImage{Name: "one", Type: "raw"}, "data").ID
	if err := owner.AddMember(ctx, id, glanceapi.Member{ID: "consumer"}); err != nil {
		log.Fatal(err)
	}

	if err := consumer.SetMember(ctx, id, glanceapi.Member{ID: "consumer", Status: "accepted"}); err != nil {
		log.Fatal(err)
	}
	members, err := owner.Members(ctx, id)
	fmt.Println(members[0].ID, members[0].Status, err)
	// Output: consumer accepted <nil>
}

func ExampleClient_RemoveMember() {
	c, stop := connect("v1", "demo")
	defer stop()
	ctx := context.Background()
	id := add(c, glanceapi.NewImage{Name: "one", Type: "raw"}, "data").ID
	if err := c.AddMember(ctx, id, glanceapi.Member{ID: "tenant1"}); err != nil {
		log.Fatal(err)
	}

	fmt.Println(c.RemoveMember(ctx, id, "tenant1"))
	fmt.Println(errors.Is(c.RemoveMember(ctx, id, "tenant1"), fs.ErrNotExist))
	// Output:
	// <nil>
	// true
}

// All memberships are replaced at once. What is not said of one is kept.
func ExampleClient_ReplaceMembers() {
	c, stop := connect("v1", "demo")
	defer stop()
	ctx := context.Background()
	id := add(c, glanceapi.NewImage{Name: "one", Type: "raw"}, "data").ID
	yes, no := true, false
	for _, m := range []glanceapi.Member{{ID: "tenant1", CanShare: &yes}, {ID: "tenant2", CanShare: &yes}, {ID: "tenant3"}} {
		if err := c.AddMember(ctx, id, m); err != nil {
			log.Fatal(err)
		}
	}

	err := c.ReplaceMembers(ctx, id, []glanceapi.Member{{ID: "tenant1", CanShare: &no}, {ID: "tenant2"}})
	if err != nil {
		log.Fatal(err)
	}
	members, err := c.Members(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range members {
		fmt.Println(m.ID, *m.CanShare)
	}
	// Output:
	// tenant1 false
	// tenant2 true
}
