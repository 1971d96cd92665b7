package fs

import "context"

// Refresh has the service asked anew for everything before it is believed again,
// and returns when what is listed has been read from start to end, or when ctx
// ends. What is known is kept for as long as the service does not answer.
func (m *Mount) Refresh(ctx context.Context) { m.tree.catalog.Refresh(ctx) }

// Answers tells whether the image service has answered what it was asked last.
func (m *Mount) Answers() bool { return m.tree.catalog.Answers() }
