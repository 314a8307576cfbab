package localstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Servers names the servers that Install knows.
const (
	MinIO   = "minio"
	Versity = "versitygw"
	RedisDB = "redis"
)

var programs = map[string]program{MinIO: minioProgram, Versity: versityProgram, RedisDB: redisProgram}

// Install makes the executables of the named servers available, unless they are. What comes from
// source is built by go install, which takes minutes the first time and is cached afterwards; what
// comes from the distribution is installed where this user may. It tells on out how it goes.
func Install(ctx context.Context, out *os.File, names ...string) error {
	var errs []error
	for _, name := range names {
		p, known := programs[name]
		if !known {
			return fmt.Errorf("no server is called %q", name)
		}
		if _, err := p.find(); err == nil {
			continue
		}
		errs = append(errs, p.install(ctx, out))
	}
	return errors.Join(errs...)
}

// find returns the path of the executable, or an error that says how to get one.
func (p program) find() (string, error) {
	for _, name := range p.executables {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		if p.module == "" {
			continue
		}
		if path := filepath.Join(goBin(), name); isExecutable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing: %s", p.name, p.advice())
}

// advice is the command that makes the executable available.
func (p program) advice() string {
	if p.module != "" {
		return fmt.Sprintf("run 'make test-servers', or 'go install %s' (%s the first time)", p.module, p.builds)
	}
	return fmt.Sprintf("run 'sudo apt-get install %s', or install your system's package of it", p.apt)
}

// goBin is the directory into which go install puts executables.
func goBin() string {
	if dir := goEnv("GOBIN"); dir != "" {
		return dir
	}
	return filepath.Join(filepath.SplitList(goEnv("GOPATH") + string(filepath.ListSeparator))[0], "bin")
}

func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func (p program) install(ctx context.Context, out *os.File) error {
	if p.module != "" {
		fmt.Fprintf(out, "%s is built from source: %s this first time, then it is cached\n", p.name, p.builds)
		return p.run(ctx, out, nil, "go", "install", p.module)
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s is missing: %s", p.name, p.advice())
	}
	if err := p.run(ctx, out, nil, "apt-get", "update", "-qq"); err != nil {
		return err
	}
	return p.run(ctx, out, []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", "install", "-y", "-qq",
		"--no-install-recommends", p.apt)
}

// progressEvery is how often a command that says nothing is said to be working.
const progressEvery = 15 * time.Second

// run runs a command with its output on out, and tells every now and then that it is working.
func (p program) run(ctx context.Context, out *os.File, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	fmt.Fprintln(out, " ", strings.Join(cmd.Args, " "))
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("installing %s: %w", p.name, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ticks := time.NewTicker(progressEvery)
	defer ticks.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("installing %s with '%s': %w", p.name, strings.Join(cmd.Args, " "), err)
			}
			fmt.Fprintf(out, "  done after %s\n", time.Since(began).Round(time.Second))
			return nil
		case <-ticks.C:
			fmt.Fprintf(out, "  %s: working for %s\n", p.name, time.Since(began).Round(time.Second))
		}
	}
}
