package main

import (
	"math"

	"golang.org/x/sys/windows"
)

// openFileLimit is how many files this process may have open: Windows sets no limit of its own.
func openFileLimit() (uint64, error) { return math.MaxInt32, nil }

// freeSpace is how many bytes this user may still write into the volume of dir.
func freeSpace(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free, total, totalFree uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, &total, &totalFree)
	return int64(free), err
}
