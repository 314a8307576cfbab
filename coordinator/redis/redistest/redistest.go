// Package redistest starts real Redis servers for tests: each on a free port of the loopback
// interface, with a directory of its own.
package redistest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Server is one redis-server.
type Server struct {
	Addr string
	Port string
	Dir  string

	t       testing.TB
	args    []string
	process *exec.Cmd
}

// Start starts a server with further options, such as "--appendonly", "yes". It ends with the test.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	s := &Server{t: t, Port: FreePort(t), args: options, Dir: t.TempDir()}
	s.Addr = "127.0.0.1:" + s.Port
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Restart starts the server again, at the same address, with the directory as it is.
func (s *Server) Restart() {
	s.t.Helper()
	args := []string{
		"--port", s.Port, "--bind", "127.0.0.1", "--dir", s.Dir, "--save", "", "--repl-diskless-sync-delay", "0",
	}
	s.start(append(args, s.args...)...)
}

// start starts redis-server and waits until it answers.
func (s *Server) start(args ...string) {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("redis-server is needed for this test: apt-get install redis-server")
	}
	s.process = exec.Command(path, args...)
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	for until := time.Now().Add(20 * time.Second); ; {
		answer, err := s.try("PING")
		if err == nil && answer == "+PONG" {
			return
		}
		if time.Now().After(until) {
			output, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
			s.t.Fatalf("redis-server does not answer: %q, %v\n%s", answer, err, output)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.t.Context().Done():
			s.t.Fatal(s.t.Context().Err())
		}
	}
}

// Kill ends the server at once, as kill -9 does.
func (s *Server) Kill() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
	s.process = nil
}

// Do sends a command and returns the first line of the answer; an error of Redis fails the test.
func (s *Server) Do(command ...string) string {
	s.t.Helper()
	answer, err := s.try(command...)
	if err != nil || strings.HasPrefix(answer, "-") {
		s.t.Fatalf("%s: %s, %v", strings.Join(command, " "), answer, err)
	}
	return answer
}

// Eventually sends a command until its answer contains what it should, for a while.
func (s *Server) Eventually(contains string, command ...string) {
	s.t.Helper()
	var answer string
	var err error
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
		if answer, err = s.try(command...); err == nil && strings.Contains(answer, contains) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.t.Context().Done():
			s.t.Fatal(s.t.Context().Err())
		}
	}
	s.t.Fatalf("%s answers %q, %v, not %q", strings.Join(command, " "), answer, err, contains)
}

// Send sends a request as it is, and returns the first line of the answer.
func (s *Server) Send(request []byte) string {
	s.t.Helper()
	answer, err := s.send(request)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// try speaks RESP by hand, so that these tests need nothing of the client library that they test.
// It returns a bulk string whole, otherwise the first line.
func (s *Server) try(command ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(command))
	for _, arg := range command {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return s.send([]byte(b.String()))
}

func (s *Server) send(request []byte) (string, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", s.Addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	line = strings.TrimSpace(line)
	if err != nil || !strings.HasPrefix(line, "$") {
		return line, err
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return line, err
	}
	body := make([]byte, n)
	for read := 0; read < n; {
		m, err := r.Read(body[read:])
		if err != nil {
			return "", err
		}
		read += m
	}
	return string(body), nil
}

// FreePort returns a port of the loopback interface that nobody listens on.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Cluster starts a Redis Cluster of n masters and waits until it is whole.
func Cluster(t testing.TB, n int) []*Server {
	t.Helper()
	const slots = 16384
	servers, buses := make([]*Server, n), make([]string, n)
	for i := range servers {
		buses[i] = FreePort(t)
		servers[i] = Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-port", buses[i])
	}
	for i, s := range servers {
		s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(slots*i/n), strconv.Itoa(slots*(i+1)/n-1))
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i > 0 {
			servers[0].Do("CLUSTER", "MEET", "127.0.0.1", s.Port, buses[i])
		}
	}
	for _, s := range servers {
		s.Eventually("cluster_state:ok", "CLUSTER", "INFO")
		s.Eventually(fmt.Sprintf("cluster_known_nodes:%d", n), "CLUSTER", "INFO")
	}
	return servers
}

// Sentinel starts a sentinel that watches a master under a name, and decides alone.
func Sentinel(t testing.TB, name string, master *Server) *Server {
	t.Helper()
	s := &Server{t: t, Port: FreePort(t), Dir: t.TempDir()}
	s.Addr = "127.0.0.1:" + s.Port
	config := filepath.Join(s.Dir, "sentinel.conf")
	lines := fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s 1\n"+
		"sentinel down-after-milliseconds %[1]s 2000\nsentinel failover-timeout %[1]s 5000\n", name, master.Port)
	if err := os.WriteFile(config, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.start(config, "--sentinel", "--port", s.Port, "--bind", "127.0.0.1", "--dir", s.Dir)
	return s
}
