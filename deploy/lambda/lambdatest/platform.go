// Package lambdatest plays AWS Lambda for tests of functions: the runtime API, and what happens to
// the process behind it.
package lambdatest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main builds the function in the current directory, once for all tests, and runs them; binary is
// set to where it is.
func Main(m *testing.M, binary *string) {
	dir, err := os.MkdirTemp("", "firn-lambda-")
	if err != nil {
		panic(err)
	}
	*binary = filepath.Join(dir, "bootstrap")
	if out, err := exec.Command("go", "build", "-o", *binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// Platform plays Lambda to one process at a time.
type Platform struct {
	Timeout time.Duration // of invocations, as the function is told: 30 s

	t       testing.TB
	binary  string
	env     []string
	api     http.Handler
	events  chan string // of one element
	answers chan Result
	process *exec.Cmd
	server  *httptest.Server // of the process alone: what one that was killed asked for is over with it
	ended   chan struct{}    // the process has

	mu    sync.Mutex
	count int
}

// Result is how an invocation ended: OK with an answer, or with an error.
type Result struct {
	ID   string
	OK   bool
	Body string
}

// New returns a platform for a function that is started with these variables in its environment.
func New(t testing.TB, binary string, env ...string) *Platform {
	p := &Platform{Timeout: 30 * time.Second, t: t, binary: binary, events: make(chan string, 1),
		answers: make(chan Result, 1)}
	mux := http.NewServeMux()
	const prefix = "/2018-06-01/runtime/invocation/"
	mux.HandleFunc("GET "+prefix+"next", p.next)
	mux.HandleFunc("POST "+prefix+"{id}/{what}", p.end)
	p.api = mux
	p.env = append(os.Environ(), append(env, "AWS_LAMBDA_FUNCTION_NAME=test")...)
	t.Cleanup(p.Kill)
	return p
}

func (p *Platform) next(w http.ResponseWriter, r *http.Request) {
	select {
	case event := <-p.events:
		p.mu.Lock()
		p.count++
		id := fmt.Sprint("invocation-", p.count)
		p.mu.Unlock()
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(p.Timeout).UnixMilli()))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:test")
		_, _ = io.WriteString(w, event)
	case <-r.Context().Done():
	}
}

func (p *Platform) end(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.WriteHeader(http.StatusAccepted)
	select {
	case p.answers <- Result{r.PathValue("id"), r.PathValue("what") == "response", string(body)}:
	case <-r.Context().Done():
	}
}

// start begins a new process, if there is none.
func (p *Platform) start() {
	if p.process != nil {
		return
	}
	p.server = httptest.NewServer(p.api)
	p.process = exec.Command(p.binary)
	p.process.Env = append(p.env[:len(p.env):len(p.env)], "AWS_LAMBDA_RUNTIME_API="+p.server.Listener.Addr().String())
	p.process.Stderr = p.t.Output()
	if err := p.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(c *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = c.Wait()
	}(p.process, p.ended)
}

// Kill ends the process, as a timeout does.
func (p *Platform) Kill() {
	if p.process == nil {
		return
	}
	_ = p.process.Process.Kill()
	<-p.ended
	p.process = nil
	p.server.CloseClientConnections()
	p.server.Close()
	select { // what it has not taken
	case <-p.events:
	default:
	}
	select { // an answer that it gave while it was killed, and that nobody waits for
	case <-p.answers:
	default:
	}
}

// Signal sends the process a signal: SIGSTOP freezes it, SIGCONT thaws it.
func (p *Platform) Signal(s syscall.Signal) {
	if err := p.process.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Send hands an event over, to a new process if there is none.
func (p *Platform) Send(event string) {
	p.start()
	p.events <- event
}

// Wait returns how the invocation ended.
func (p *Platform) Wait() Result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	select {
	case r := <-p.answers:
		return r
	case <-p.ended:
		p.t.Fatal("the function ended by itself")
	case <-ctx.Done():
		p.t.Fatal("the function does not answer")
	}
	return Result{}
}

// Invoke hands an event over and returns how the invocation ended.
func (p *Platform) Invoke(event string) Result {
	p.t.Helper()
	p.Send(event)
	return p.Wait()
}
