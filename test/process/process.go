// Package process runs a Kafka server as a process of its own, for tests and measurements that must
// see the whole of it: how long it takes until it answers, what it costs, and what is left when it
// is killed. It knows nothing of Firn but a command line.
package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"firn.dev/localstack"
)

// Spec says how a server is started. In Command, {dir}, {kafka} and {http} stand for the fields
// below.
type Spec struct {
	Command []string
	Dir     string   // where its data is; absolute
	Kafka   string   // host:port
	HTTP    string   // host:port, if it has one
	Env     []string // of its environment, beyond ours: NAME=value
	Log     string   // a file that all it prints is added to; empty: only the end is kept
}

// Process is a server that was started. Somebody has to Kill, Terminate or Wait for it.
type Process struct {
	spec    Spec
	cmd     *exec.Cmd
	started time.Time
	output  localstack.Tail
	done    chan struct{}
	err     error // of the process, once done is closed
}

// Start starts the server and does not wait until it answers: Ready does. The server dies with the
// process that started it.
func Start(spec Spec) (*Process, error) {
	fill := strings.NewReplacer("{dir}", spec.Dir, "{kafka}", spec.Kafka, "{http}", spec.HTTP)
	args := make([]string, len(spec.Command))
	for i, arg := range spec.Command {
		args[i] = fill.Replace(arg)
	}
	p := &Process{spec: spec, cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1") // a server with a race detector ends at the first race
	p.cmd.Env = append(p.cmd.Env, spec.Env...)
	p.cmd.SysProcAttr = DiesWithParent()
	log, err := spec.openLog(&p.output)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("starting %s: %w", args[0], err)
	}
	go func() {
		defer close(p.done)
		defer log.Close()
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// openLog opens what a process prints to: the end of it in memory, and the file, if there is one.
func (s Spec) openLog(end io.Writer) (io.WriteCloser, error) {
	if s.Log == "" {
		return printed{end, nil}, nil
	}
	file, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return printed{io.MultiWriter(end, file), file}, err
}

type printed struct {
	io.Writer
	file *os.File
}

// Close implements io.Closer.
func (p printed) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// Ready waits until the server answers a Metadata request and returns how long that took since
// Start.
func (p *Process) Ready(ctx context.Context) (time.Duration, error) {
	for {
		err := probe(ctx, p.spec.Kafka)
		if err == nil {
			return time.Since(p.started), nil
		}
		select {
		case <-p.done:
			return 0, fmt.Errorf("the server ended before it answered: %v\n%s", p.err, p.Output())
		case <-ctx.Done():
			return 0, fmt.Errorf("the server does not answer: %w (%v)\n%s", ctx.Err(), err, p.Output())
		case <-time.After(time.Millisecond):
		}
	}
}

// Kafka is the address on which the server speaks Kafka, HTTP the other one.
func (p *Process) Kafka() string { return p.spec.Kafka }

// Spec is how it was started.
func (p *Process) Spec() Spec { return p.spec }

// HTTP is the address on which the server speaks HTTP.
func (p *Process) HTTP() string { return p.spec.HTTP }

// Pid is the id of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Started is when the process was started.
func (p *Process) Started() time.Time { return p.started }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output is the last that the server wrote to standard output and standard error.
func (p *Process) Output() string { return p.output.String() }

// Kill ends the process at once, as kill -9 does, and waits for its end.
func (p *Process) Kill() {
	p.cmd.Process.Kill() // fails only if it has ended already
	<-p.done
}

// Terminate asks the process to end, as SIGTERM does, and returns its exit status. If ctx ends
// first the process is killed.
func (p *Process) Terminate(ctx context.Context) (int, error) {
	p.cmd.Process.Signal(syscall.SIGTERM)
	return p.Wait(ctx)
}

// Wait waits for the process to end by itself and returns its exit status. If ctx ends first the
// process is killed.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		p.Kill()
		return 0, fmt.Errorf("the server did not end by itself: %w\n%s", ctx.Err(), p.Output())
	}
}

// Build builds a program of this module into dir and returns its path. The flags are those of go
// build.
func Build(ctx context.Context, dir, pkg string, flags ...string) (string, error) {
	bin := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-o", bin}, flags, []string{pkg})...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}

// Firn is the command line of firn serve, built at bin.
func Firn(bin string) []string {
	return []string{bin, "serve", "--store", "file://{dir}", "--kafka-addr", "{kafka}", "--http-addr", "{http}"}
}

// NewSpec returns a spec with free addresses.
func NewSpec(command []string, dir string) (Spec, error) {
	kafka, err := localstack.FreeAddr()
	if err != nil {
		return Spec{}, err
	}
	http, err := localstack.FreeAddr()
	if err != nil {
		return Spec{}, err
	}
	return Spec{Command: command, Dir: dir, Kafka: kafka, HTTP: http}, os.MkdirAll(dir, 0o755)
}
