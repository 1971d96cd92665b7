package glancetest

import "io"

// A body is a request's body, counted, and broken as the fault of its answer
// says. Only the request's own goroutine reads it.
type body struct {
	io.ReadCloser
	answer *answer
	read   int64
}

func (b *body) Read(p []byte) (int, error) {
	if f := &b.answer.fault; f.Break == CutUpload || f.Break == StallUpload {
		if b.read < f.After {
			p = p[:min(int64(len(p)), f.After-b.read)]
		} else if err := b.breakOff(); err != nil {
			return 0, err
		}
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.answer.fault.Garble {
		for i := range p[:n] {
			p[i] = ^p[i]
		}
	}
	b.answer.s.mu.Lock()
	defer b.answer.s.mu.Unlock()
	b.answer.request.Body += int64(n)
	return n, err
}

// breakOff ends the request, or stalls it and then lets the rest pass.
func (b *body) breakOff() error {
	b.answer.s.hurt()
	if b.answer.fault.Break == CutUpload {
		b.answer.lost = true
		return io.ErrUnexpectedEOF
	}
	b.answer.hang()
	return nil
}
