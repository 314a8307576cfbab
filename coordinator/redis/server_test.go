package redis_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firn.dev/access/login"
	"firn.dev/access/login/logintest"
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

// A server that asks for certificates (tls-auth-clients) lets those in that have one of its
// authority. Files that were replaced count for the next connection, and what is wrong is said.
func TestClientCertificates(t *testing.T) {
	authority, stranger := logintest.NewAuthority(t), logintest.NewAuthority(t)
	dir := t.TempDir()
	server := authority.Write(dir, authority.Issue(pkix.Name{CommonName: "redis"}))
	port := redistest.FreePort(t)
	redistest.Start(t, "--tls-port", port, "--tls-auth-clients", "yes", "--tls-cert-file", server.Certificate,
		"--tls-key-file", server.Key, "--tls-ca-cert-file", server.ClientCA)
	own := t.TempDir()
	files := authority.Write(own, authority.Issue(pkix.Name{CommonName: "first"}))
	at := "rediss://127.0.0.1:" + port + "?ca=" + server.ClientCA
	refused := func(url, want string) {
		t.Helper()
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := redis.New(t.Context(), o); err == nil {
			c.Close()
			t.Errorf("%s: let in", url)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	with := func(files login.Files) string { return at + "&cert=" + files.Certificate + "&key=" + files.Key }
	refused(at, "give cert and key")
	refused(with(stranger.Write(t.TempDir(), stranger.Issue(pkix.Name{CommonName: "stranger"}))), "give cert and key")
	refused("rediss://127.0.0.1:"+port, "see ca and server-name")
	refused("redis://127.0.0.1:"+port, "rediss://")

	o, err := redis.ParseURL(with(files))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c := connect(t, o)
	in, _ := open(t, c)
	again := func() error { // over a connection that is made for it
		redis.CloseIdle(c)
		_, err := c.Latest(t.Context(), in)
		return err
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil || !strings.Contains(log.String(), "old ones stay in use") {
		t.Errorf("with a key that cannot be read: %v; logged was %s", err, &log)
	}
	stranger.Write(own, stranger.Issue(pkix.Name{CommonName: "second"})) // and its authority, which does not count
	if err := again(); err == nil {
		t.Error("with a certificate of another authority: let in")
	}
	authority.Write(own, authority.Issue(pkix.Name{CommonName: "third"}))
	if err := again(); err != nil {
		t.Errorf("with a new certificate: %v", err)
	}
}

// What a URL gets wrong, and what a user may not do, is said with what to do about it. A user who
// may not name its connections gets in.
func TestRefusalsSayWhatToDo(t *testing.T) {
	server, cluster := redistest.Start(t), redistest.Cluster(t, 3)
	server.Do(append([]string{"ACL", "SETUSER", "firn", "on", ">p"}, strings.Fields(redis.ACL("x"))...)...)
	server.Do("ACL", "SETUSER", "firn", "-client|setname", "-time")
	for url, want := range map[string]string{
		"rediss://" + server.Addr:                          "redis://",
		"redis://firn:wrong@" + server.Addr:                "check the user, its password",
		"redis://firn:p@" + server.Addr + "?prefix=x":      "docs/operating/production.md",
		"redis://" + server.Addr + "?cluster=true":         "leave cluster=true out",
		"redis://" + cluster[0].Addr + "?prefix=elsewhere": "give cluster=true",
	} {
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		o.DialTimeout = 100 * time.Millisecond
		c, err := redis.New(t.Context(), o)
		if err == nil {
			_, err = c.Generation(t.Context())
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	server.Do("ACL", "SETUSER", "firn", "+time")
	open(t, connect(t, redis.Options{Addrs: []string{server.Addr}, Username: "firn", Password: "p", Prefix: "x"}))
}

// The rules of a user that the pages name are those with which TestEncryptedAndAuthorised runs.
func TestDocumentedUser(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating/production.md")
	if err != nil {
		t.Fatal(err)
	}
	unquoted := strings.NewReplacer("\\\n", " ", `\|`, "|", "'", "").Replace(string(page))
	words := strings.Join(strings.Fields(unquoted), " ")
	if !strings.Contains(words, redis.ACL("default")) {
		t.Errorf("the page does not have %s", redis.ACL("default"))
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
