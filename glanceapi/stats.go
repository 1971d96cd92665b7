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
}

type counters struct {
	metadata, data, failures, retries, renewals, bytes, sent atomic.Int64
}

func (c *counters) snapshot() Stats {
	return Stats{
		MetadataRequests:  c.metadata.Load(),
		DataRequests:      c.data.Load(),
		Failures:          c.failures.Load(),
		Retries:           c.retries.Load(),
		Reauthentications: c.renewals.Load(),
		BytesReceived:     c.bytes.Load(),
		BytesSent:         c.sent.Load(),
	}
}
