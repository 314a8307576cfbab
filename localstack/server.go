package localstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Server is a process that was started. Somebody has to Kill or Stop it.
type Server struct {
	Addr string // host:port on which it serves

	name   string
	cmd    *exec.Cmd
	output Tail
	done   chan struct{}
	err    error // of the process, once done is closed
}

// start starts a program and waits until it is ready. A port that was free a moment ago may be
// taken by now: it tries a few.
func start(ctx context.Context, p program, o Options) (*Server, error) {
	path, err := p.find()
	if err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("%s: its data directory: %w", p.name, err)
	}
	if o.Addr != "" {
		return startAt(ctx, p, path, o)
	}
	var errs []error
	for range 3 {
		if o.Addr, err = FreeAddr(); err != nil {
			return nil, err
		}
		s, err := startAt(ctx, p, path, o)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func startAt(ctx context.Context, p program, path string, o Options) (*Server, error) {
	// Somebody else who answers there would be taken for the server that could not listen.
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("%s cannot listen: %w: stop the process that has the port, or give another", p.name, err)
	}
	l.Close()
	s := &Server{Addr: o.Addr, name: p.name, done: make(chan struct{})}
	s.cmd = exec.Command(path, append(p.arguments(o), o.Args...)...)
	s.cmd.Env = append(os.Environ(), p.environment...)
	s.cmd.Dir = o.Dir
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.SysProcAttr = attached()
	if o.LogFile != "" {
		log, err := os.OpenFile(o.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, fmt.Errorf("%s: its log: %w", p.name, err)
		}
		defer log.Close() // the process has its own
		s.cmd.Stdout, s.cmd.Stderr = log, log
		s.cmd.SysProcAttr = detached()
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	go func() {
		defer close(s.done)
		s.err = s.cmd.Wait()
	}()
	if err := s.await(ctx, p.ready); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// await waits until the server is ready.
func (s *Server) await(ctx context.Context, ready func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, attemptLimit)
		err := ready(attempt, s.Addr)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("%s ended before it served %s: %w\n%s", s.name, s.Addr, cmp.Or(s.err, errEnded), s.output.String())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve %s: %w (%w)\n%s", s.name, s.Addr, ctx.Err(), err, s.output.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var errEnded = errors.New("exit status 0")

// Pid is the id of the process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Done is closed when the process has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Kill ends the process at once, as kill -9 does, and waits for its end.
func (s *Server) Kill() {
	s.cmd.Process.Kill() // fails only if it has ended already
	<-s.done
}

// Stop asks the process to end and waits for it. If ctx ends first the process is killed.
func (s *Server) Stop(ctx context.Context) error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("%s did not end by itself: %w\n%s", s.name, ctx.Err(), s.output.String())
	}
}
