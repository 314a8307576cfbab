package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"firn.dev/test/process"
)

// profiled does something while a CPU profile of the server is taken, and an allocation profile
// after it. Servers that serve no profiles over HTTP are left alone.
func (b *bench) profiled(ctx context.Context, server *process.Process, name string, do func() error) error {
	if b.profiles == "" || !strings.HasPrefix(name, "firn") {
		return do()
	}
	if err := os.MkdirAll(b.profiles, 0o755); err != nil {
		return err
	}
	name = filepath.Join(b.profiles, strings.NewReplacer(", ", "-", " ", "-").Replace(name))
	base := "http://" + server.HTTP() + "/debug/pprof/"
	taken := make(chan error, 1)
	go func() { // ends by itself, after the time that it names
		seconds := max(1, int(b.seconds/time.Second)-1)
		taken <- download(ctx, fmt.Sprintf("%sprofile?seconds=%d", base, seconds), name+"-cpu.pprof")
	}()
	err := do()
	if taken := <-taken; err == nil {
		err = taken
	}
	if err != nil {
		return err
	}
	return download(ctx, base+"allocs", name+"-allocs.pprof") // holds what is in use as well: -sample_index=inuse_space
}

// download saves what url answers.
func download(ctx context.Context, url, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
