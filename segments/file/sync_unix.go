//go:build unix

package file

import "os"

// syncDirectory makes the directory's entries durable.
func syncDirectory(f *os.File) error { return f.Sync() }
