package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firn.dev/test/process"
)

// A node's wall clock jumps while the node runs. Namespaces do not help: there is one real-time
// clock for a whole machine. So the torture builds a firn whose package time reads the jump from a
// file, with an overlay over Go's own source: nothing of it is in firn.

// clockVariable names the file, which holds a number of seconds, to a firn that was built by
// buildWithClock.
const clockVariable = "TORTURE_CLOCK"

// clockNow is the line of time.Now that reads the clock, and jumpedNow what it becomes.
const (
	clockNow  = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	jumpedNow = "\tsec, nsec, mono := runtimeNow()\n\tsec += jump.Load()\n\tif mono == 0 {"
)

// clockSource is added to package time. The monotonic clock goes on, as it does when a machine's
// clock is set.
const clockSource = `package time

import (
	"sync/atomic"
	"syscall"
)

var jump atomic.Int64 // seconds

func init() {
	path, found := syscall.Getenv("` + clockVariable + `")
	if !found {
		return
	}
	go func() {
		for ; ; Sleep(50 * Millisecond) {
			fd, err := open(path)
			if err != nil {
				continue
			}
			var b [20]byte
			n, _ := read(fd, b[:])
			closefd(fd)
			seconds := int64(0)
			for _, digit := range b[:n] {
				seconds = 10*seconds + int64(digit-'0')
			}
			jump.Store(seconds)
		}
	}()
}
`

// buildWithClock builds a program whose clock can be set. The first time takes minutes, because all
// of Go's library is built anew. Go's cache knows what replaces it by where it lies: always the
// same.
func buildWithClock(ctx context.Context, dir, pkg string, flags ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking Go for its root: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	original := filepath.Join(root, "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), clockNow) != 1 {
		return "", errors.New("this Go's time.Now is not as expected: correct clockNow in test/torture/clock.go")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	at := filepath.Join(cache, "firn-torture")
	if err := os.MkdirAll(at, 0o700); err != nil {
		return "", err
	}
	patched, added := filepath.Join(at, "time.go"), filepath.Join(at, "jump.go")
	overlay := filepath.Join(at, "overlay.json")
	files, err := json.Marshal(map[string]map[string]string{"Replace": {original: patched,
		filepath.Join(root, "jump.go"): added}})
	if err != nil {
		return "", err
	}
	err = errors.Join(
		keep(patched, []byte(strings.Replace(string(source), clockNow, jumpedNow, 1))),
		keep(added, []byte(clockSource)),
		keep(overlay, files))
	if err != nil {
		return "", err
	}
	return process.Build(ctx, dir, pkg, append(flags, "-overlay", overlay)...)
}

// keep writes a file, unless it is there: another build may read it.
func keep(path string, content []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
		return nil
	}
	return os.WriteFile(path, content, 0o600)
}

// setClock sets the node's clock ahead.
func (m *member) setClock(ahead time.Duration) error {
	next := m.clock + ".next"
	if err := os.WriteFile(next, []byte(strconv.Itoa(int(ahead/time.Second))), 0o600); err != nil {
		return err
	}
	return os.Rename(next, m.clock) // so that nobody reads half of it
}
