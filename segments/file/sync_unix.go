//go:build unix

package file

import (
	"errors"
	"os"
	"syscall"
)

// syncDirectory makes the directory's entries durable.
func syncDirectory(f *os.File) error { return f.Sync() }

func isNotDirectory(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
