package metadata

import (
	"strings"

	"glancefs/cache"
	"glancefs/glanceapi"
)

// DefaultHash is what image services hash data with unless they are told
// otherwise.
const DefaultHash = "sha512"

// DigestOf is what an image's data is verified against: the service's chosen
// hash, or the md5 that older services have only, or nothing.
func DigestOf(img glanceapi.Image) cache.Digest {
	switch {
	case img.HashValue != "" && cache.CanVerify(img.HashAlgo):
		return cache.Digest{Algo: img.HashAlgo, Value: strings.ToLower(img.HashValue)}
	case img.Checksum != "":
		return cache.Digest{Algo: "md5", Value: strings.ToLower(img.Checksum)}
	}
	return cache.Digest{}
}
