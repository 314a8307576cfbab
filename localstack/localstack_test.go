package localstack_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"firn.dev/localstack"
)

// dataDir is a directory on a real disk: MinIO does not work on tmpfs, which /tmp may be.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := localstack.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestS3Servers has each server keep an object through a kill.
func TestS3Servers(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(context.Context, localstack.Options) (localstack.S3, error)
	}{{"MinIO", localstack.StartMinIO}, {"versitygw", localstack.StartVersity}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := localstack.Options{Dir: dataDir(t)}
			s, err := test.start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { s.Kill() }()
			for range 2 { // the second time it is there
				if err := s.CreateBucket(t.Context(), "bucket"); err != nil {
					t.Fatal(err)
				}
			}
			client, err := minio.New(s.Addr, &minio.Options{Creds: credentials.NewStaticV4(localstack.AccessKey,
				localstack.SecretKey, "")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.PutObject(t.Context(), "bucket", "key", strings.NewReader("body"), 4,
				minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
			s.Kill()
			o.Addr = s.Addr
			if s, err = test.start(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if info, err := client.StatObject(t.Context(), "bucket", "key", minio.StatObjectOptions{}); err != nil ||
				info.Size != 4 {
				t.Errorf("after a kill: %+v, %v", info, err)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			select {
			case <-s.Done():
			default:
				t.Error("it runs on after Stop")
			}
		})
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	r, err := localstack.StartRedis(t.Context(), localstack.Options{Dir: dir, Args: []string{"--appendonly", "no"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	if r.URL() != "redis://"+r.Addr {
		t.Error(r.URL())
	}
	if _, err := os.Stat(filepath.Join(dir, "appendonlydir")); err == nil {
		t.Error("arguments do not override the defaults")
	}
	// A second one cannot have its port, and says so instead of being taken for the first.
	if _, err := localstack.StartRedis(t.Context(), localstack.Options{Dir: dataDir(t), Addr: r.Addr}); err == nil ||
		!strings.Contains(err.Error(), "cannot listen") {
		t.Error(err)
	}
}

// TestServerThatEnds tells why, with what it printed.
func TestServerThatEnds(t *testing.T) {
	t.Parallel()
	_, err := localstack.StartRedis(t.Context(), localstack.Options{Dir: dataDir(t),
		Args: []string{"--no-such-option", "1"}})
	if err == nil || !strings.Contains(err.Error(), "ended before it served") ||
		!strings.Contains(err.Error(), "no-such-option") {
		t.Error(err)
	}
}

// TestMissing names the command that helps.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("GOBIN", t.TempDir())
	for _, test := range []struct {
		err    error
		advice string
	}{
		{second(localstack.StartMinIO(t.Context(), localstack.Options{Dir: t.TempDir()})),
			"go install github.com/minio/minio@"},
		{second(localstack.StartVersity(t.Context(), localstack.Options{Dir: t.TempDir()})), "make test-servers"},
		{second(localstack.StartRedis(t.Context(), localstack.Options{Dir: t.TempDir()})), "apt-get install redis-server"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.advice) {
			t.Errorf("%v does not say %q", test.err, test.advice)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestStartIsPatientOnlyAsLongAsItsContext has a server that never answers.
func TestStartIsPatientOnlyAsLongAsItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	// On a unix socket alone nobody answers on the port.
	socket := filepath.Join(dataDir(t), "socket")
	_, err := localstack.StartRedis(ctx, localstack.Options{Dir: dataDir(t),
		Args: []string{"--port", "0", "--unixsocket", socket}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if _, err := net.Dial("unix", socket); err == nil {
		t.Error("the server that did not get ready runs on")
	}
}
