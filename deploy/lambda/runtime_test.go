package main

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

// binary is the function, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "firn-lambda-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "bootstrap")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// platform plays Lambda: the runtime API, and what happens to the process behind it.
type platform struct {
	t       testing.TB
	env     []string
	api     *httptest.Server
	events  chan string // of one element
	answers chan result
	process *exec.Cmd
	ended   chan struct{} // the process has

	mu    sync.Mutex
	count int
}

// result is how an invocation ended.
type result struct {
	id   string
	ok   bool
	body string
}

func newPlatform(t testing.TB, env ...string) *platform {
	p := &platform{t: t, events: make(chan string, 1), answers: make(chan result, 1)}
	mux := http.NewServeMux()
	const prefix = "/2018-06-01/runtime/invocation/"
	mux.HandleFunc("GET "+prefix+"next", p.next)
	mux.HandleFunc("POST "+prefix+"{id}/{what}", p.end)
	p.api = httptest.NewServer(mux)
	t.Cleanup(p.api.Close)
	p.env = append(os.Environ(), append(env, "AWS_LAMBDA_RUNTIME_API="+p.api.Listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=test")...)
	t.Cleanup(p.kill)
	return p
}

func (p *platform) next(w http.ResponseWriter, r *http.Request) {
	select {
	case event := <-p.events:
		p.mu.Lock()
		p.count++
		id := fmt.Sprint("invocation-", p.count)
		p.mu.Unlock()
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(30*time.Second).UnixMilli()))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:test")
		_, _ = io.WriteString(w, event)
	case <-r.Context().Done():
	}
}

func (p *platform) end(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.WriteHeader(http.StatusAccepted)
	p.answers <- result{r.PathValue("id"), r.PathValue("what") == "response", string(body)}
}

// start begins a new process, if there is none.
func (p *platform) start() {
	if p.process != nil {
		return
	}
	p.process = exec.Command(binary)
	p.process.Env = p.env
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

// kill ends the process, as a timeout does.
func (p *platform) kill() {
	if p.process == nil {
		return
	}
	_ = p.process.Process.Kill()
	<-p.ended
	p.process = nil
	select { // an answer that it gave while it was killed, and that nobody waits for
	case <-p.answers:
	default:
	}
}

func (p *platform) signal(s syscall.Signal) {
	if err := p.process.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// send hands an event over, to a new process if there is none.
func (p *platform) send(event string) {
	p.start()
	p.events <- event
}

// wait returns how the invocation ended.
func (p *platform) wait() result {
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
	return result{}
}

func (p *platform) invoke(event string) result {
	p.t.Helper()
	p.send(event)
	return p.wait()
}
