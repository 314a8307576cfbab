package localstack

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// program is a server as an executable: how it is had, started and asked whether it is ready.
type program struct {
	name        string
	executables []string // names it may go by
	module      string   // what go install builds it from; empty: it comes from the distribution
	builds      string   // how long that takes
	apt         string   // its package

	arguments   func(o Options) []string // o.Addr and o.Dir are set
	environment []string
	ready       func(ctx context.Context, addr string) error
}

// The versions are pinned. MinIO's is the last there will be: its repository is archived.
var (
	minioProgram = program{
		name:        "MinIO",
		executables: []string{"minio"},
		module:      "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
		builds:      "about 6 minutes",
		arguments:   func(o Options) []string { return []string{"server", "--address", o.Addr, o.Dir} },
		environment: []string{"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off",
			"MINIO_UPDATE=off"},
		ready: answersOK("/minio/health/ready"),
	}
	versityProgram = program{
		name:        "versitygw",
		executables: []string{"versitygw"},
		module:      "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
		builds:      "about 4 minutes",
		arguments: func(o Options) []string {
			return []string{"--port", o.Addr, "--health", "/health", "--quiet", "posix", o.Dir}
		},
		environment: []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey},
		ready:       answersOK("/health"),
	}
	redisProgram = program{
		name:        "Redis",
		executables: []string{"redis-server", "valkey-server"},
		apt:         "redis-server",
		arguments: func(o Options) []string {
			host, port, _ := net.SplitHostPort(o.Addr)
			return []string{
				"--bind", host, "--port", port, "--dir", o.Dir, "--daemonize", "no", "--set-proc-title", "no",
				"--maxmemory-policy", "noeviction", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
			}
		},
		ready: answersPing,
	}
)

// answersOK returns a check that a path is answered with 200.
func answersOK(path string) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", resp.Status)
		}
		return nil
	}
}

// answersPing says whether a Redis serves. One that still loads its data, or that wants a password,
// is not asked further: the latter serves.
func answersPing(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+PONG\r\n" && !strings.HasPrefix(answer, "-NOAUTH") {
		return fmt.Errorf("it answers %q", answer)
	}
	return nil
}

// attemptLimit bounds one question whether a server is ready.
const attemptLimit = 2 * time.Second
