package integration

import (
	"fmt"
	"time"

	"glancefs/glanceapi/server"
)

// A scenario is a way to read images that tools are compared by.
type scenario struct {
	name  string
	links []Link
	tools []tool
	image func(Link) int64 // bytes
	warm  bool             // the image has been read before, on the same mount
	whole bool             // all of it is read, after which glancefs verifies it

	readers int                    // programs that read at once, 0 for one
	apart   time.Duration          // between their starts
	payload func(Link) int64       // bytes that readers get, of one image
	before  func(reading) []string // runs before each round; may be nil
	// command is a reader: a program and its arguments. If it prints a number,
	// those are the nanoseconds that it took; else its start is timed, too.
	command func(reading) []string
}

// A reading is one run of one reader.
type reading struct {
	*opened
	scenario *scenario
	link     Link
	round    int
	out      string // a file it may write
}

const firstMiB = 1 << 20

// disk is the size of an image that can be read whole in a second or less where
// nothing slows that down, and in some seconds elsewhere.
func disk(l Link) int64 {
	if l.Rate > 0 {
		return 128 << 20
	}
	return 256 << 20
}

func bigDisk(Link) int64 { return 256 << 20 }

// manyPages is what takes long enough to read from memory for what is done once, such
// as opening the file, not to count.
func manyPages(Link) int64 { return 1 << 30 }

func system(Link) int64 { return bootSize }

func near() Link    { return Link{Name: "0ms"} }
func far() Link     { return Link{Name: "20ms", Latency: 20 * time.Millisecond} }
func limited() Link { return Link{Name: "50MBps", Rate: 50e6} }

func links() []Link {
	return []Link{near(), {Name: "2ms", Latency: 2 * time.Millisecond}, far(), limited()}
}

// refusing are links to an origin whose store cannot seek.
func refusing() []Link {
	a, b := near(), limited()
	a.Ranges, b.Ranges = server.RangesRefused, server.RangesRefused
	return []Link{a, b}
}

func mounts() []tool { return []tool{ours(), rclone("off"), rclone("full"), nbdkit()} }

func scenarios() []*scenario {
	warm := []tool{ours(), rclone("full"), cacheFile()} // the others keep nothing: warm is cold
	plain := []tool{copying(), plainLoopback()}
	once := func(Link) int64 { return firstMiB }
	return []*scenario{
		{
			name: "ColdSequential", links: links(), tools: append(mounts(), curl()),
			image: disk, whole: true, payload: disk, command: sequential,
		}, {
			name: "ColdCopy", links: []Link{near()}, tools: append(mounts(), curl()),
			image: disk, whole: true, payload: disk, command: copied,
		}, {
			name: "ColdEight", links: links(), tools: append(mounts(), curl()), readers: 8,
			image: disk, whole: true, payload: disk, command: sequential,
		}, {
			name: "ColdEightApart", links: []Link{limited()}, tools: mounts(), readers: 8, apart: time.Second,
			image: bigDisk, whole: true, payload: bigDisk, command: sequential,
		}, {
			name: "ColdRandom", links: links(), tools: append(mounts(), keepAlive()),
			image: system, payload: coldPages, command: random,
		}, {
			name: "Boot", links: links(), tools: mounts(),
			image: system, payload: bootPayload, command: boot("cached"),
		}, {
			name: "BootDirect", links: []Link{near(), far()}, tools: mounts(),
			image: system, payload: bootPayload, command: boot("direct"),
		}, {
			name: "RefusedSequential", links: refusing(), tools: []tool{ours(), curl()},
			image: disk, whole: true, payload: disk, command: sequential,
		}, {
			name: "RefusedFirst", links: refusing(), tools: []tool{ours(), curl()},
			image: disk, payload: once, command: first,
		}, {
			name: "WarmSequential", links: []Link{near(), far()}, tools: warm, warm: true,
			image: manyPages, payload: manyPages, command: inOneProcess,
		}, {
			name: "WarmRandom", links: []Link{near(), far()}, tools: warm, warm: true,
			image: manyPages, payload: warmPages, command: random,
		}, {
			// The kernel's memory of the file is made anew each time, because it is by
			// half faster, or slower, by where in memory its pages are.
			name: "CopyingSequential", links: []Link{near()}, tools: plain, warm: true,
			image: disk, payload: disk, before: refill, command: inOneProcess,
		}, {
			name: "CopyingRandom", links: []Link{near()}, tools: plain, warm: true,
			image: disk, payload: warmPages, before: refill, command: random,
		}, {
			// The kernel's memory of the file is taken from it, so that each read
			// is answered anew, and glancefs compares checksums.
			name: "AskedSequential", links: []Link{near()}, tools: plain, warm: true,
			image: disk, payload: disk, before: forget, command: inOneProcess,
		}, {
			name: "AskedRandom", links: []Link{near()}, tools: plain, warm: true,
			image: disk, payload: coldPages, before: forget, command: random,
		},
	}
}

const page = 4096

// coldPages is what a round of random reads gets that the network is asked for.
func coldPages(l Link) int64 {
	return page * max(2000/int64(1+l.Latency/time.Millisecond), 100)
}

// warmPages is as many as make a round last long enough to be measured.
func warmPages(Link) int64 { return page * 40_000 }

// bootPayload counts what the trace needs in blocks, the least that any tool
// with a cache fetches.
func bootPayload(Link) int64 {
	loader, system := bootTrace()
	return touched(readerBlock, append(loader, system...)...)
}

func sequential(r reading) []string {
	if r.url {
		return []string{"curl", "-sSf", "-o", r.out, r.target}
	}
	return []string{"dd", "if=" + r.target, "of=/dev/null", "bs=1M", "status=none"}
}

// inOneProcess is sequential for what takes little longer than to start a program.
func inOneProcess(r reading) []string { return []string{readerProgram, "whole", r.target} }

func copied(r reading) []string {
	if r.url {
		return sequential(r)
	}
	return []string{"cp", r.target, r.out}
}

func first(r reading) []string {
	if r.url {
		return []string{"sh", "-c", `curl -sf "$1" | head -c "$2" >/dev/null`, "sh", r.target, fmt.Sprint(firstMiB)}
	}
	return []string{"sh", "-c", `head -c "$2" "$1" >/dev/null`, "sh", r.target, fmt.Sprint(firstMiB)}
}

func random(r reading) []string {
	seed, count := fmt.Sprint(r.round), fmt.Sprint(r.scenario.payload(r.link)/page)
	if r.url {
		return []string{readerProgram, "ranges", r.target, fmt.Sprint(r.scenario.image(r.link)), seed, count}
	}
	return []string{readerProgram, "random", r.target, seed, count}
}

func boot(how string) func(reading) []string {
	return func(r reading) []string { return []string{readerProgram, "boot", r.target, how} }
}

func forget(r reading) []string { return []string{readerProgram, "forget", r.target} }

func refill(r reading) []string { return []string{readerProgram, "refill", r.target} }
