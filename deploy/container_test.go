//go:build linux

package deploy

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"firn.dev/localstack"
)

// TestContainerRootRunsByItself makes the image's root file system, as the Dockerfile's last stage
// says, and runs what it runs in it: chroot, nobody's user id, nothing of this machine but the
// kernel. It needs the right to make namespaces, as root or by user namespaces.
func TestContainerRootRunsByItself(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	stage := lastStage(t)
	for _, copied := range stage.copies {
		switch copied {
		case "/firn":
			compile(t, filepath.Join(root, "firn"))
		case "/data":
			if err := os.Mkdir(filepath.Join(root, "data"), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(root, "data"), 0o777); err != nil { // whatever the umask
				t.Fatal(err)
			}
		case "/etc/ssl/certs/":
		default:
			t.Fatalf("the test does not know what the image's %s is", copied)
		}
	}
	if stage.from != "scratch" || stage.user != "65532:65532" {
		t.Errorf("the image is from %s and runs as %s", stage.from, stage.user)
	}
	if !slices.ContainsFunc(stage.env, func(v string) bool { return strings.HasPrefix(v, "FIRN_ADMIN_ADDR=") }) {
		t.Error("the image's health check waits for clients: there is no FIRN_ADMIN_ADDR")
	}
	kafka := freeAddr(t)
	// What the image says of --kafka-addr does not stand in the way of the chart and of Terraform.
	environment := append(stage.env, "FIRN_LISTENER=kafka=plaintext://"+kafka,
		"FIRN_HTTP_ADDR="+freeAddr(t), "FIRN_ADMIN_ADDR="+freeAddr(t))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	node := inside(ctx, root, environment, stage.command...)
	node.Stderr = &log
	if err := node.Start(); err != nil {
		t.Fatalf("%v: this needs root, or user namespaces", err)
	}
	defer node.Wait()
	defer node.Cancel()
	for {
		out, err := inside(ctx, root, environment, stage.health...).CombinedOutput()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("never healthy: %s\n%s", out, log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
	if out, err := inside(ctx, root, nil, "/firn", "topic", "create", "t", "--bootstrap",
		kafka).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	produce := inside(ctx, root, nil, "/firn", "produce", "t", "--bootstrap", kafka)
	produce.Stdin = strings.NewReader("one\ntwo\n")
	if out, err := produce.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	consume := inside(ctx, root, nil, "/firn", "consume", "t", "--bootstrap", kafka, "--from", "earliest", "--count", "2")
	if out, err := consume.Output(); err != nil || string(out) != "one\ntwo\n" {
		t.Fatalf("%v: %q", err, out)
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Fatalf("it did not drain: %v\n%s", err, log.String())
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := localstack.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// inside is a command in the root file system, with the user id of the image and no other
// environment.
func inside(ctx context.Context, root string, environment []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Path, cmd.Err = args[0], nil // found in there
	cmd.Dir, cmd.Env = "/", append([]string{}, environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Getgid(), Size: 1}}}
	return cmd
}

// stage is what the Dockerfile says of the image.
type stage struct {
	from, user               string
	copies, env              []string
	command, health, entries []string
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

func lastStage(t *testing.T) (s stage) {
	t.Helper()
	text := read(t, "container/Dockerfile")
	for line := range strings.Lines(text[strings.LastIndex(text, "\nFROM ")+1:]) {
		words := strings.Fields(line)
		var list []string
		for _, match := range quoted.FindAllStringSubmatch(line, -1) {
			list = append(list, match[1])
		}
		switch {
		case len(words) == 0:
		case words[0] == "FROM":
			s.from = words[1]
		case words[0] == "COPY":
			s.copies = append(s.copies, words[len(words)-1])
		case words[0] == "ENV":
			s.env = words[1:]
		case words[0] == "USER":
			s.user = words[1]
		case words[0] == "ENTRYPOINT":
			s.entries = list
		case words[0] == "CMD":
			s.command = append(s.entries, list...)
		case words[0] == "HEALTHCHECK":
			s.health = list
		}
	}
	return s
}

// compile builds a release of this machine's kind.
func compile(t *testing.T, output string) {
	t.Helper()
	cmd := exec.Command("deploy/release/compile", "v0.0.1-test", output)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
