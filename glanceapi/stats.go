package glanceapi

import "sync/atomic"

// Stats counts what a Client has done since New.
type Stats struct {
	MetadataRequests  int64 // sent, retries included
	DataRequests      int64
	Failures          int64 // requests without the answer asked for, and streams cut short
	Retries           int64 // of metadata requests
	Reauthentications int64
	BytesReceived     int64 // of answers' bodies
	BytesSent         int64 // of images' data

	Answers map[int]int64 // that began, by their status
}

type counters struct {
	metadata, data, failures, retries, renewals, bytes, sent atomic.Int64

	answers [600]atomic.Int64 // by status
}

// answered counts an answer. A status that HTTP does not have is counted as 0.
func (c *counters) answered(status int) {
	if status < 0 || status >= len(c.answers) {
		status = 0
	}
	c.answers[status].Add(1)
}

func (c *counters) snapshot() Stats {
	answers := make(map[int]int64)
	for status := range c.answers {
		if n := c.answers[status].Load(); n > 0 {
			answers[status] = n
		}
	}
	return Stats{
		Answers:           answers,
		MetadataRequests:  c.metadata.Load(),
		DataRequests:      c.data.Load(),
		Failures:          c.failures.Load(),
		Retries:           c.retries.Load(),
		Reauthentications: c.renewals.Load(),
		BytesReceived:     c.bytes.Load(),
		BytesSent:         c.sent.Load(),
	}
}
