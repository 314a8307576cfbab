package file

import (
	"errors"
	"os"
	"syscall"
)

// syncDirectory does nothing: NTFS journals directory entries by itself, and directories cannot be flushed.
func syncDirectory(*os.File) error { return nil }

func isNotDirectory(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
