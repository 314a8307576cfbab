// Package localstack starts the servers that Firn works with (MinIO, a second and independent S3
// server, Redis) as ordinary processes on loopback: for tests, and behind `make stack` for
// development. It needs no container engine.
//
// A server keeps its data below the directory that it is given, so one that was killed can be
// started again on what it left behind.
package localstack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The credentials of the S3 servers that this package starts. They listen on loopback, so nothing
// rests on them.
const (
	AccessKey = "firnadmin"
	SecretKey = "firnsecret"
	Region    = "us-east-1"
)

// Options says where a server keeps its data and where it listens.
type Options struct {
	Dir  string   // its data; made if it is not there. Not on tmpfs: MinIO takes its drive offline there
	Addr string   // host:port; empty: a free port of loopback
	Args []string // further arguments of the command line; they override those before

	// LogFile, if set, receives what the server prints, and makes it outlive the process that started
	// it. Without it the end of the output is kept in memory, and the server ends with the process
	// that started it.
	LogFile string
}

// S3 is a running server that speaks S3.
type S3 struct{ *Server }

// StartMinIO starts a MinIO server and waits until it is ready.
func StartMinIO(ctx context.Context, o Options) (S3, error) {
	s, err := start(ctx, minioProgram, o)
	return S3{s}, err
}

// StartVersity starts versitygw, which serves a directory as S3 and shares no code with MinIO, and
// waits until it is ready.
func StartVersity(ctx context.Context, o Options) (S3, error) {
	s, err := start(ctx, versityProgram, o)
	return S3{s}, err
}

// Endpoint is the server's URL.
func (s S3) Endpoint() string { return "http://" + s.Addr }

// MinIOURL is the store URL of a place in a bucket, for the minio driver. It holds the credentials.
func (s S3) MinIOURL(bucket, prefix string) string {
	u := url.URL{Scheme: "minio", User: url.UserPassword(AccessKey, SecretKey), Host: s.Addr,
		Path: "/" + bucket + "/" + prefix, RawQuery: "secure=false"}
	return u.String()
}

// S3URL is the store URL of a place in a bucket, for the s3 driver. The credentials come from the
// environment: Environment.
func (s S3) S3URL(bucket, prefix string) string {
	q := url.Values{"endpoint": {s.Endpoint()}, "region": {Region}}
	u := url.URL{Scheme: "s3", Host: bucket, Path: "/" + prefix, RawQuery: q.Encode()}
	return u.String()
}

// Environment is what programs need to find the credentials of S3 servers: both drivers read these
// variables.
func Environment() map[string]string {
	return map[string]string{"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey}
}

func (s S3) client() (*minio.Client, error) {
	return minio.New(s.Addr, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region})
}

// CreateBucket creates a bucket unless it is there.
func (s S3) CreateBucket(ctx context.Context, bucket string) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	err = client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
	if code := minio.ToErrorResponse(err).Code; code == minio.BucketAlreadyOwnedByYou ||
		code == minio.BucketAlreadyExists {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating bucket %s on %s: %w", bucket, s.name, err)
	}
	return nil
}

// Keys lists what a bucket holds.
func (s S3) Keys(ctx context.Context, bucket string) (keys []string, err error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	for object := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return nil, fmt.Errorf("listing bucket %s on %s: %w", bucket, s.name, object.Err)
		}
		keys = append(keys, object.Key)
	}
	return keys, nil
}

// Redis is a running Redis server.
type Redis struct{ *Server }

// StartRedis starts a Redis server and waits until it answers. It appends to a file that it syncs
// every second, so that one that is started again on its directory has nearly all that it had; Args
// changes that.
func StartRedis(ctx context.Context, o Options) (Redis, error) {
	s, err := start(ctx, redisProgram, o)
	return Redis{s}, err
}

// URL is the coordinator URL of the server.
func (r Redis) URL() string { return "redis://" + r.Addr }

// FreeAddr returns a loopback address with a free port below those that the kernel gives to
// outgoing connections: from that range, a client that dials a server which is down could be given
// the server's own port and keep the server from coming back.
func FreeAddr() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		return addr, l.Close()
	}
	return "", errors.New("no free port between 20000 and 32000")
}

// TempDir makes a directory for a server's data that is removed by whoever asked for it. It lies on
// a disk where possible: temporary directories are often on tmpfs.
func TempDir() (string, error) {
	if dir, err := os.MkdirTemp("/var/tmp", "firn-"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "firn-")
}

// readyLimit is how long a server may take until it answers, on a machine that is busy with other
// things.
const readyLimit = time.Minute
