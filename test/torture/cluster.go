package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn/localstack"
	"firn/test/process"
)

// clusterNodes is how many nodes a cluster has.
const clusterNodes = 3

// bucket is where the cluster's objects go.
const bucket = "torture"

// cluster is several nodes on one MinIO and one Redis, all of them processes on loopback.
type cluster struct {
	dir   string
	minio localstack.S3
	redis localstack.Redis
	nodes []*member
}

// member is one node: one process after another on the same addresses, and its own way to either server.
type member struct {
	spec    process.Spec
	live    *process.Process
	toRedis *gate
	toMinIO *gate
}

// startCluster starts everything and waits until it answers; flags are further ones of nodes. Whatever it returns has to be stopped.
func startCluster(ctx context.Context, bin, dir string, flags ...string) (*cluster, error) {
	c := &cluster{dir: dir}
	var err error
	if c.minio, err = localstack.StartMinIO(ctx, localstack.Options{Dir: filepath.Join(dir, "minio")}); err != nil {
		return c, err
	}
	if err := c.minio.CreateBucket(ctx, bucket); err != nil {
		return c, err
	}
	if err := c.startRedis(ctx, ""); err != nil {
		return c, err
	}
	for i := range clusterNodes {
		if err := c.addMember(bin, i+1, flags); err != nil {
			return c, err
		}
	}
	return c, c.startNodes(ctx)
}

func (c *cluster) addMember(bin string, id int, flags []string) error {
	toRedis, err := newGate(c.redis.Addr)
	if err != nil {
		return err
	}
	toMinIO, err := newGate(c.minio.Addr)
	if err != nil {
		toRedis.close()
		return err
	}
	m := &member{toRedis: toRedis, toMinIO: toMinIO}
	c.nodes = append(c.nodes, m)
	store := strings.Replace(c.minio.MinIOURL(bucket, "log"), c.minio.Addr, m.toMinIO.addr, 1)
	m.spec, err = process.NewSpec(append([]string{bin, "serve", "--store", store, "--coordinator", "redis://" + m.toRedis.addr,
		"--kafka-addr", "{kafka}", "--http-addr", "{http}", "--node-id", fmt.Sprint(id)}, flags...), c.dir)
	return err
}

// startNodes starts the nodes that do not run, and waits until they answer.
func (c *cluster) startNodes(ctx context.Context) error {
	for _, m := range c.nodes {
		if m.live != nil {
			continue
		}
		if err := m.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) start(ctx context.Context) (err error) {
	if m.live, err = process.Start(m.spec); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = m.live.Ready(ctx)
	return err
}

func (m *member) kill() {
	if m.live != nil {
		m.live.Kill()
		m.live = nil
	}
}

// startRedis starts a Redis that keeps nothing, with the state of a dump or empty, where it was before.
func (c *cluster) startRedis(ctx context.Context, dump string) (err error) {
	o := localstack.Options{Dir: filepath.Join(c.dir, "redis"), Args: []string{"--appendonly", "no"}}
	if c.redis.Server != nil {
		o.Addr = c.redis.Addr
	}
	file := filepath.Join(o.Dir, "dump.rdb")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if dump != "" {
		b, err := os.ReadFile(dump)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return err
		}
	}
	c.redis, err = localstack.StartRedis(ctx, o)
	return err
}

func (c *cluster) startMinIO(ctx context.Context) (err error) {
	c.minio, err = localstack.StartMinIO(ctx, localstack.Options{Dir: filepath.Join(c.dir, "minio"), Addr: c.minio.Addr})
	return err
}

// saveRedis writes a dump of Redis aside.
func (c *cluster) saveRedis() error {
	if err := c.tellRedis("SAVE"); err != nil {
		return err
	}
	return os.Rename(filepath.Join(c.dir, "redis", "dump.rdb"), c.dumpFile())
}

// dumpFile is where saveRedis puts it.
func (c *cluster) dumpFile() string { return filepath.Join(c.dir, "old.rdb") }

// tellRedis gives Redis a command that it answers with OK.
func (c *cluster) tellRedis(command string) error {
	conn, err := net.Dial("tcp", c.redis.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "+OK\r\n" {
		err = fmt.Errorf("%q", answer)
	}
	if err != nil {
		return fmt.Errorf("redis, %s: %w", command, err)
	}
	return nil
}

// running says whether all nodes run.
func (c *cluster) running() error {
	for i, m := range c.nodes {
		select {
		case <-m.live.Done():
			return fmt.Errorf("node %d ended by itself:\n%s", i+1, m.live.Output())
		default:
		}
	}
	return nil
}

// outputs is the last that the nodes said, for who wants to know why they do not do what they should.
func (c *cluster) outputs() string {
	var b strings.Builder
	for i, m := range c.nodes {
		if m.live != nil {
			fmt.Fprintf(&b, "node %d:\n%s\n", i+1, m.live.Output())
		}
	}
	return b.String()
}

func (c *cluster) stop() {
	for _, m := range c.nodes {
		m.kill()
		m.toRedis.close()
		m.toMinIO.close()
	}
	if c.redis.Server != nil {
		c.redis.Kill()
	}
	if c.minio.Server != nil {
		c.minio.Kill()
	}
}

// addrs are the Kafka addresses of all nodes.
func (c *cluster) addrs() []string {
	var addrs []string
	for _, m := range c.nodes {
		addrs = append(addrs, m.spec.Kafka)
	}
	return addrs
}

// through makes a client go to one address whatever node it wants to speak to. Every node serves every partition.
func through(addr string) kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
}
