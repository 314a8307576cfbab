package file

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the file's bytes and its length durable. Its times may be lost, which nobody
// minds.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
