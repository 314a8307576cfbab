package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firn.dev/localstack"
)

// service is one server of the stack. Its data lies in dir/name, its log and its process id beside
// that.
type service struct {
	name, dir, addr string
	start           func(context.Context, localstack.Options) (*localstack.Server, error)
}

// stopLimit is how long a server may take to end before it is killed.
const stopLimit = 10 * time.Second

func (s service) dataDir() string { return filepath.Join(s.dir, s.name) }
func (s service) pidFile() string { return filepath.Join(s.dir, s.name+".pid") }
func (s service) logFile() string { return filepath.Join(s.dir, s.name+".log") }

func (s service) up(ctx context.Context) error {
	if pid, running := s.running(); running {
		fmt.Printf("%-6s runs already: %s, process %d\n", s.name, s.addr, pid)
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	server, err := s.start(ctx, localstack.Options{Dir: s.dataDir(), Addr: s.addr, LogFile: s.logFile()})
	if err != nil {
		if log, readErr := os.ReadFile(s.logFile()); readErr == nil {
			err = fmt.Errorf("%w\n%s", err, lastLines(log, 10))
		}
		if server != nil {
			server.Kill()
		}
		return err
	}
	if err := os.WriteFile(s.pidFile(), fmt.Appendln(nil, server.Pid()), 0o644); err != nil {
		server.Kill()
		return err
	}
	fmt.Printf("%-6s %s, process %d, data in %s\n", s.name, s.addr, server.Pid(), s.dataDir())
	return nil
}

// down asks the server to end, and kills it if it does not.
func (s service) down(ctx context.Context) error {
	pid, running := s.running()
	if !running {
		fmt.Printf("%-6s does not run\n", s.name)
		return s.forget()
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping %s, process %d: %w", s.name, pid, err)
	}
	for {
		if _, running := s.running(); !running {
			fmt.Printf("%-6s stopped\n", s.name)
			return s.forget()
		}
		select {
		case <-ctx.Done():
			fmt.Printf("%-6s did not stop by itself and is killed\n", s.name)
			return errors.Join(syscall.Kill(pid, syscall.SIGKILL), s.forget())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s service) forget() error {
	if err := os.Remove(s.pidFile()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// running returns the process that up has started, if it is still there. Another process may have
// its id by now: ours has the data directory on its command line.
func (s service) running() (pid int, running bool) {
	text, err := os.ReadFile(s.pidFile())
	if err != nil {
		return 0, false
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return 0, false
	}
	return pid, bytes.Contains(commandLine(pid), []byte(s.dataDir()))
}

// commandLine is the command line of a process, or nothing: from /proc, or from ps where there is
// none.
func commandLine(pid int) []byte {
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		return line
	}
	line, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	return line
}

func lastLines(text []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
