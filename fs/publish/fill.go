package publish

import (
	"context"
	"time"

	"glancefs/fs/metadata"
	"glancefs/glanceapi"
)

// Earlier finds out what became of the data that an earlier process has sent for a
// queued image, once the service knows. done says that the image has it.
func (p *Publisher) Earlier(ctx context.Context, image string, s *Spool) (img glanceapi.Image, done bool, err error) {
	for begun := time.Now(); ; {
		img, err := p.service.Image(ctx, image)
		switch {
		case err != nil:
			return img, false, err
		case img.Status == "active":
			img, err = p.Compare(ctx, image, s)
			return img, err == nil, err
		case img.Status != "saving" || time.Since(begun) > comeLimit:
			return img, false, nil
		}
		select {
		case <-time.After(activePause):
		case <-ctx.Done():
			return img, false, context.Cause(ctx)
		}
	}
}

// SetFormats gives a queued image the formats that it lacks, without which no
// service takes its data.
func (p *Publisher) SetFormats(ctx context.Context, image string, s *Spool) error {
	f, err := s.Format()
	if err != nil {
		return err
	}
	img, err := p.service.Image(ctx, image)
	if err != nil || img.DiskFormat != "" && img.ContainerFormat != "" {
		return err
	}
	var ch glanceapi.Change
	if img.DiskFormat == "" {
		img.DiskFormat = f.Disk
		ch.DiskFormat = &f.Disk
	}
	if img.ContainerFormat == "" {
		container := metadata.ContainerOf(img.DiskFormat)
		ch.ContainerFormat = &container
	}
	_, err = p.service.Update(ctx, image, ch)
	return err
}
