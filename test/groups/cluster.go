package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firn.dev/localstack"
	"firn.dev/test/process"
)

// patience is how long anything may take.
const patience = 2 * time.Minute

// cluster is what groups live on: three nodes on MinIO and Redis, or one on a directory.
type cluster struct {
	minio *localstack.S3
	redis *localstack.Redis
	specs []process.Spec
	nodes []*process.Process
}

func startCluster(ctx context.Context, firn, dir string, nodes int) (*cluster, error) {
	c := &cluster{}
	place := []string{"--store", filepath.Join(dir, "data")}
	if nodes > 1 {
		minio, err := localstack.StartMinIO(ctx, localstack.Options{Dir: filepath.Join(dir, "minio")})
		if err != nil {
			return c, err
		}
		c.minio = &minio
		redis, err := localstack.StartRedis(ctx, localstack.Options{Dir: filepath.Join(dir, "redis")})
		if err != nil {
			return c, err
		}
		c.redis = &redis
		if err := minio.CreateBucket(ctx, "groups"); err != nil {
			return c, err
		}
		place = []string{"--store", minio.MinIOURL("groups", "log"), "--coordinator", redis.URL()}
	}
	for i := range nodes {
		command := append([]string{firn, "serve", "--kafka-addr", "{kafka}", "--http-addr", "{http}", "--node-id",
			fmt.Sprint(i + 1)}, place...)
		spec, err := process.NewSpec(command, dir)
		if err != nil {
			return c, err
		}
		c.specs, c.nodes = append(c.specs, spec), append(c.nodes, nil)
		if err := c.startNode(ctx, i); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *cluster) startNode(ctx context.Context, i int) (err error) {
	if c.nodes[i], err = process.Start(c.specs[i]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = c.nodes[i].Ready(ctx)
	return err
}

func (c *cluster) stop() {
	for _, n := range c.nodes {
		if n != nil {
			n.Kill()
		}
	}
	if c.redis != nil {
		c.redis.Kill()
	}
	if c.minio != nil {
		c.minio.Kill()
	}
}

// addrs are the Kafka addresses of all nodes.
func (c *cluster) addrs() (addrs []string) {
	for _, s := range c.specs {
		addrs = append(addrs, s.Kafka)
	}
	return addrs
}

func (c *cluster) bootstrap() string { return strings.Join(c.addrs(), ",") }

func (c *cluster) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.addrs()...), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RecordRetries(1000)}, opts...)...)
}

// create makes topics.
func (c *cluster) create(ctx context.Context, partitions int32, topics ...string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopics(ctx, partitions, 1, nil, topics...)
	return errors.Join(err, created.Error())
}

// coordinator is the number of the node that owns a group.
func (c *cluster) coordinator(ctx context.Context, group string) (int, error) {
	client, err := c.client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	found := kadm.NewClient(client).FindGroupCoordinators(ctx, group)
	return int(found[group].NodeID), found[group].Err
}

// temporary makes a directory on a disk, which the returned function removes.
func temporary() (dir string, remove func(), err error) {
	dir, err = localstack.TempDir() // MinIO does not work on tmpfs
	return dir, func() { os.RemoveAll(dir) }, err
}
