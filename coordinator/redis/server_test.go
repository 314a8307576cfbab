package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firn.dev/coordinator"
	"firn.dev/coordinator/redis"
	"firn.dev/coordinator/redis/redistest"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// A Redis that may throw keys away is refused, at start and when a failover has led to one.
func TestEvictionIsRefused(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	for _, policy := range []string{"allkeys-lru", "volatile-ttl"} {
		server.Do("CONFIG", "SET", "maxmemory-policy", policy)
		_, err := redis.New(t.Context(), redis.Options{Addrs: []string{server.Addr}})
		if !errors.Is(err, redis.ErrEvicts) || !strings.Contains(err.Error(), policy) {
			t.Errorf("%s: %v", policy, err)
		}
		if err := c.Open(t.Context(), coordinator.NewState(1, "x")); !errors.Is(err, redis.ErrEvicts) {
			t.Errorf("%s: opening: %v", policy, err)
		}
	}
}

// A full Redis refuses commits whole, and goes on when there is room. It accepts
// confirmations: they make some.
func TestFullRedis(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	in, at := open(t, c)
	first, err := c.Commit(t.Context(), in, request(at))
	if err != nil {
		t.Fatal(err)
	}
	server.Do("CONFIG", "SET", "maxmemory", "1")
	req := request(at)
	_, err = c.Commit(t.Context(), in, req)
	if err == nil || errors.Is(err, coordinator.ErrNotOpen) || errors.Is(err, coordinator.ErrIncarnation) {
		t.Errorf("a commit into a full Redis: %v", err)
	}
	if err := c.Confirm(t.Context(), in, []uint64{first.Entry.Seq}); err != nil {
		t.Errorf("a confirmation: %v", err)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	again, err := c.Commit(t.Context(), in, req)
	if err != nil || again.Runs[0][0].BaseOffset != 1 || again.Entry.Seq != first.Entry.Seq+2 {
		t.Errorf("when there is room: %+v, %v", again, err)
	}
}

// What was opened before a restart is not trusted after it, whatever came back from the disk.
func TestRestartIsNoticed(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	in, at := open(t, c)
	server.Do("SAVE")
	server.Kill()
	server.Restart()
	wantEverywhere(t, c, in, at, coordinator.ErrNotOpen)
	if err := c.Open(t.Context(), coordinator.NewState(in, "x")); !errors.Is(err, coordinator.ErrIncarnation) {
		t.Errorf("opening the same incarnation again: %v", err)
	}
}

// wantEverywhere expects the same error of every call that carries an incarnation.
func wantEverywhere(
	t *testing.T, c coordinator.Coordinator, in coordinator.Incarnation, at segments.Partition, want error,
) {
	t.Helper()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"commit": func() error { _, err := c.Commit(ctx, in, request(at)); return err },
		"propose ids": func() error {
			_, err := c.Propose(ctx, in, coordinator.Change{ID: segments.NewID(time.Now()), ProducerIDs: 1})
			return err
		},
		"propose a topic": func() error {
			_, err := c.Propose(ctx, in, coordinator.Change{ID: segments.NewID(time.Now()), DeleteTopic: &at.Topic})
			return err
		},
		"propose offsets": func() error {
			commit := &coordinator.CommitOffsets{Lease: "l", Epoch: uint64(in) << 32}
			_, err := c.Propose(ctx, in, coordinator.Change{Offsets: commit})
			return err
		},
		"confirm":  func() error { return c.Confirm(ctx, in, []uint64{1}) },
		"settled":  func() error { _, err := c.Settled(ctx, in); return err },
		"acquire":  func() error { _, err := c.Acquire(ctx, in, "l", "h", time.Second); return err },
		"release":  func() error { return c.Release(ctx, in, "l", "h", uint64(in)<<32|1) },
		"register": func() error { return c.Register(ctx, in, coordinator.NodeInfo{}, time.Second) },
		"nodes":    func() error { _, err := c.Nodes(ctx, in); return err },
		"follow": func() error {
			for _, err := range c.Follow(ctx, in, 0) {
				return err
			}
			return nil
		},
	} {
		if err := call(); !errors.Is(err, want) {
			t.Errorf("%s: %v, should be %v", name, err, want)
		}
	}
}

// A node that does not look again in between notices every loss at its next call, whichever that
// is: Redis checks the generation that the node believes in.
func TestLossIsNoticedByTheNextCall(t *testing.T) {
	server := redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{server.Addr}})
	in, at := open(t, c)
	server.Do("FLUSHALL")
	wantEverywhere(t, c, in, at, coordinator.ErrNotOpen)
}

// Replicas answer nothing: an error that passes, not ErrNotOpen, which would start a recovery.
func TestReplica(t *testing.T) {
	master, replica := redistest.Start(t), redistest.Start(t)
	c := connect(t, redis.Options{Addrs: []string{replica.Addr}})
	in, _ := open(t, c)
	follow(replica, master)
	for name, err := range map[string]error{
		"generation": func() error { _, err := c.Generation(t.Context()); return err }(),
		"settled":    func() error { _, err := c.Settled(t.Context(), in); return err }(),
		"open":       c.Open(t.Context(), coordinator.NewState(in+1, "x")),
	} {
		if err == nil || errors.Is(err, coordinator.ErrNotOpen) || errors.Is(err, coordinator.ErrIncarnation) {
			t.Errorf("%s on a replica: %v", name, err)
		}
	}
}

// Two clusters with two buckets do not get into each other's way by mistake: with one prefix the
// second is refused, with two both work.
func TestPrefixes(t *testing.T) {
	server := redistest.Start(t)
	join := func(prefix string) (*coordinator.Node, error) {
		c := connect(t, redis.Options{Addrs: []string{server.Addr}, Prefix: prefix})
		n, err := coordinator.Join(t.Context(), coordinator.NodeOptions{Store: memory.New(), Coordinator: c})
		if err == nil {
			t.Cleanup(func() {
				if err := n.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		return n, err
	}
	if _, err := join("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := join("a"); !errors.Is(err, coordinator.ErrOtherCluster) {
		t.Errorf("another bucket with the same prefix: %v", err)
	}
	if _, err := join("b"); err != nil {
		t.Errorf("another prefix: %v", err)
	}
	c := connect(t, redis.Options{Addrs: []string{server.Addr}, Prefix: "a"})
	if err := c.Open(t.Context(), coordinator.NewState(100, "x")); !errors.Is(err, coordinator.ErrOtherCluster) {
		t.Errorf("opening with another bucket's state: %v", err)
	}
}

// TLS, and a user that may do only what Firn needs.
func TestEncryptedAndAuthorised(t *testing.T) {
	dir := t.TempDir()
	ca := certificate(t, dir)
	port := redistest.FreePort(t)
	server := redistest.Start(t, "--tls-port", port,
		"--tls-cert-file", ca, "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-ca-cert-file", ca, "--tls-auth-clients", "no")
	server.Do(append([]string{"ACL", "SETUSER", "firn", "on", ">p@ss"}, strings.Fields(redis.ACL("x"))...)...)
	server.Do("ACL", "SETUSER", "default", "nocommands")
	o, err := redis.ParseURL(fmt.Sprintf("rediss://firn:p%%40ss@127.0.0.1:%s/?prefix=x&ca=%s", port, ca))
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, o)
	in, at := open(t, c)
	answer, err := c.Commit(t.Context(), in, request(at, coordinator.CommitBatch{Length: 1, Records: 1, ProducerID: 1}))
	if err != nil {
		t.Fatal(err)
	}
	for entry, err := range c.Follow(t.Context(), in, answer.Entry.Seq-1) {
		if err != nil || entry.Seq != answer.Entry.Seq {
			t.Errorf("entry %d, %v", entry.Seq, err)
		}
		break
	}
	state := coordinator.NewState(in+1, mustClusterID(t, c, in))
	if err := c.Open(t.Context(), state); err != nil { // which removes the keys of the incarnation before
		t.Error(err)
	}
	o.Password = "wrong"
	if _, err := redis.New(t.Context(), o); err == nil {
		t.Error("a wrong password is taken")
	}
}

// certificate writes a certificate for 127.0.0.1 that signs itself, and its key, and returns the
// path of the certificate.
func certificate(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem")
}
