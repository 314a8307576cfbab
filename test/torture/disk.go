package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// disk is a file system in memory whose size can be set while it is in use.
type disk struct{ dir string }

// Sizes of a disk: roomy, and what is left at most when it is full, so that some writes fail in
// their middle.
const (
	roomyBytes = 8 << 30
	mostLeft   = 256 << 10
	mostFull   = 2 * time.Second
)

// whyNoDisk says why there can be no such file system here, or nothing.
func whyNoDisk() string {
	if os.Geteuid() != 0 {
		return "a file system of its own needs root"
	}
	return ""
}

// newDisk mounts one at a directory. Somebody has to close it.
func newDisk(dir string) (*disk, error) {
	d := &disk{dir}
	return d, d.mount("-t", "tmpfs", "-o", fmt.Sprintf("size=%d", roomyBytes), "torture", dir)
}

func (d *disk) mount(args ...string) error {
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("mount %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (d *disk) resize(size int64) error {
	return d.mount("-o", fmt.Sprintf("remount,size=%d", size), d.dir)
}

// fillFor leaves that many bytes of room, until some time has passed.
func (d *disk) fillFor(ctx context.Context, full time.Duration, left int64) error {
	var err error
	for range 20 { // what is in use may grow meanwhile, and then the size is refused
		var stat syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &stat); err != nil {
			return err
		}
		used := int64(stat.Blocks-stat.Bfree) * int64(stat.Bsize)
		if err = d.resize(used + left); err == nil {
			break
		}
		left += mostLeft
	}
	if err == nil {
		err = sleep(ctx, full)
	}
	return errors.Join(err, d.resize(roomyBytes))
}

func (d *disk) close() {
	if out, err := exec.Command("umount", "--lazy", d.dir).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "torture: umount %s: %v: %s\n", d.dir, err, out)
	}
}
