package segments

import "errors"

// Errors of a Store, wrapped with the key. Any other error of a Store may be tried again.
var (
	ErrExists   = errors.New("object already exists")
	ErrNotFound = errors.New("object not found")
	ErrRange    = errors.New("object is shorter than the range asked for")
	ErrKey      = errors.New("key not allowed in a bucket")
	ErrAborted  = errors.New("the upload was aborted")
)

// Errors of the segment format. ErrMagic means that the bytes are no segment, ErrVersion that a
// newer Firn wrote them.
var (
	ErrMagic   = errors.New("not a segment")
	ErrVersion = errors.New("segment version not supported")
	ErrCorrupt = errors.New("corrupt segment")
	ErrCRC     = errors.New("segment fails a CRC-32C") // always together with ErrCorrupt
	ErrInput   = errors.New("batches cannot be encoded as a segment")
)
