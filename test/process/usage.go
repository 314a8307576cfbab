package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used since it was started.
type Usage struct {
	CPU       time.Duration // user and system
	PeakBytes int64         // of resident memory
}

// clockTick is the unit of CPU times in /proc: Linux shows user programs 100 a second on every
// architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage reads what the server has used so far, from /proc: it is there on Linux only.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.Pid()) }

// UsageOf reads what any process has used.
func UsageOf(pid int) (Usage, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return Usage{}, err
	}
	// The second field is the name, in parentheses, and may hold spaces. User and system time are the
	// 14th and 15th.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return Usage{}, fmt.Errorf("%sstat has %d fields", dir, len(fields))
	}
	var u Usage
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("%sstat: %w", dir, err)
		}
		u.CPU += time.Duration(ticks) * clockTick
	}
	u.PeakBytes, err = peakBytes(dir + "status")
	return u, err
}

// peakBytes finds the line "VmHWM:  123 kB".
func peakBytes(path string) (int64, error) {
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s says nothing of VmHWM", path)
}
