package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/localstack"
	"firn.dev/test/process"
)

// clusterNodes is how many nodes a cluster has.
const clusterNodes = 3

// bucket is where the cluster's objects go.
const bucket = "torture"

// cluster is several nodes on one MinIO and one Redis, all of them processes on this machine.
type cluster struct {
	plan  plan
	minio localstack.S3
	storm *storm // in front of MinIO, where nodes are led to while it is overloaded
	redis localstack.Redis
	homes int // how many directories Redis servers have had: each server that takes over from another has its own

	nodes   []*member
	network *network // nil: nodes live where the servers do
}

// plan says what a cluster is made of.
type plan struct {
	firn       string // the binary
	other      string // of another version; empty: there is none
	dir        string
	flags      []string // of nodes, further ones
	namespaces bool     // each node lives in a network namespace of its own
}

// member is one node: one process after another on the same addresses, and its own way to either
// server.
type member struct {
	spec    process.Spec
	live    *process.Process
	toRedis *gate
	toMinIO *gate
	space   *namespace // nil: none
	clock   string     // the file that says how far its clock is ahead
}

// startCluster starts everything and waits until it answers. Whatever it returns has to be stopped.
func startCluster(ctx context.Context, p plan) (*cluster, error) {
	c := &cluster{plan: p}
	var err error
	if c.minio, err = localstack.StartMinIO(ctx, localstack.Options{Dir: filepath.Join(p.dir, "minio")}); err != nil {
		return c, err
	}
	if c.storm, err = newStorm(c.minio.Addr); err != nil {
		return c, err
	}
	if err := c.minio.CreateBucket(ctx, bucket); err != nil {
		return c, err
	}
	if err := c.startRedis(ctx, ""); err != nil {
		return c, err
	}
	if p.namespaces {
		c.network = newNetwork()
	}
	for i := range clusterNodes {
		if err := c.addMember(i + 1); err != nil {
			return c, err
		}
	}
	return c, c.startNodes(ctx)
}

// addMember prepares a node. The first speaks to MinIO with Amazon's client, which gets along with
// a clock that is wrong, and the others with MinIO's.
func (c *cluster) addMember(id int) (err error) {
	m := &member{clock: filepath.Join(c.plan.dir, fmt.Sprintf("clock-%d", id))}
	if err := m.setClock(0); err != nil {
		return err
	}
	outside := func(link) string { return "127.0.0.1" }
	if c.network != nil {
		if m.space, err = c.network.add(); err != nil {
			return err
		}
		outside = m.space.host
	}
	if m.toRedis, err = newGate(outside(toRedis), c.redis.Addr); err != nil {
		return err
	}
	if m.toMinIO, err = newGate(outside(toMinIO), c.minio.Addr); err != nil {
		m.toRedis.close()
		return err
	}
	c.nodes = append(c.nodes, m)
	minio := localstack.S3{Server: &localstack.Server{Addr: m.toMinIO.addr}}
	store := minio.MinIOURL(bucket, "log")
	if id == 1 {
		store = minio.S3URL(bucket, "log")
	}
	m.spec, err = process.NewSpec(slices.Concat([]string{c.plan.firn, "serve", "--store", store, "--coordinator",
		"redis://" + m.toRedis.addr,
		"--kafka-addr", "{kafka}", "--http-addr", "{http}", "--node-id", fmt.Sprint(id)}, c.plan.flags), c.plan.dir)
	m.spec.Log = filepath.Join(c.plan.dir, fmt.Sprintf("node-%d.log", id))
	m.spec.Env = []string{clockVariable + "=" + m.clock}
	for name, value := range localstack.Environment() {
		m.spec.Env = append(m.spec.Env, name+"="+value)
	}
	if m.space != nil {
		m.spec.Command = m.space.command(m.spec.Command)
		m.spec.Kafka, m.spec.HTTP = m.space.node(toClients)+":9092", m.space.node(toClients)+":8080"
	}
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

// exchange has the next process be of the other of two versions.
func (m *member) exchange(one, other string) {
	if other == "" {
		return
	}
	for i, word := range m.spec.Command {
		switch word {
		case one:
			m.spec.Command[i] = other
		case other:
			m.spec.Command[i] = one
		}
	}
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

// outputs is the last that the nodes said, for who wants to know why they do not do what they
// should.
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
	if c.network != nil {
		if err := c.network.close(); err != nil {
			fmt.Fprintln(os.Stderr, "torture:", err)
		}
	}
	if c.storm != nil {
		c.storm.close()
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

// through makes a client go to one address whatever node it wants to speak to. Every node serves
// every partition.
func through(addr string) kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
}
