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
	"strconv"
	"strings"
	"time"

	"firn.dev/localstack"
)

func (c *cluster) startMinIO(ctx context.Context) (err error) {
	c.minio, err = localstack.StartMinIO(ctx, localstack.Options{Dir: filepath.Join(c.plan.dir, "minio"),
		Addr: c.minio.Addr})
	return err
}

// redisDir is the directory of the Redis that nodes are led to.
func (c *cluster) redisDir() string {
	return filepath.Join(c.plan.dir, fmt.Sprintf("redis-%d", c.homes))
}

// redisArgs are of a Redis that keeps nothing, and has a replica begin at once.
var redisArgs = []string{"--appendonly", "no", "--repl-diskless-sync-delay", "0"}

// startRedis starts a Redis that keeps nothing, with the state of a dump or empty, where it was
// before.
func (c *cluster) startRedis(ctx context.Context, dump string) (err error) {
	o := localstack.Options{Dir: c.redisDir(), Args: redisArgs}
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

// startReplica starts another Redis, which copies the one that nodes are led to through a gate, and
// waits until it has everything. Whoever takes it either adopts it or kills it, and closes the
// gate.
func (c *cluster) startReplica(ctx context.Context) (localstack.Redis, *gate, error) {
	var replica localstack.Redis
	way, err := newGate("127.0.0.1", c.redis.Addr)
	if err != nil {
		return replica, nil, err
	}
	c.homes++
	replica, err = localstack.StartRedis(ctx, localstack.Options{Dir: c.redisDir(), Args: redisArgs})
	if err != nil {
		way.close()
		return replica, nil, err
	}
	host, port, _ := net.SplitHostPort(way.addr)
	_, err = askRedis(replica.Addr, "REPLICAOF "+host+" "+port)
	for late := time.Now().Add(patience); err == nil; {
		var info string
		if info, err = askRedis(replica.Addr, "INFO replication"); err != nil ||
			strings.Contains(info, "master_link_status:up") {
			break
		}
		if time.Now().After(late) {
			err = fmt.Errorf("the replica does not follow:\n%s", info)
		}
		err = errors.Join(err, ctx.Err())
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		replica.Kill()
		way.close()
	}
	return replica, way, err
}

// saveRedis writes a dump of Redis aside.
func (c *cluster) saveRedis() error {
	if err := c.tellRedis("SAVE"); err != nil {
		return err
	}
	return os.Rename(filepath.Join(c.redisDir(), "dump.rdb"), c.dumpFile())
}

// dumpFile is where saveRedis puts it.
func (c *cluster) dumpFile() string { return filepath.Join(c.plan.dir, "old.rdb") }

// usedMemory is how many bytes Redis uses.
func (c *cluster) usedMemory() (int64, error) {
	info, err := askRedis(c.redis.Addr, "INFO memory")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	number, _, _ := strings.Cut(rest, "\r")
	return strconv.ParseInt(number, 10, 64)
}

// tellRedis gives Redis a command that it answers with OK.
func (c *cluster) tellRedis(command string) error {
	answer, err := askRedis(c.redis.Addr, command)
	if err == nil && answer != "+OK" {
		err = fmt.Errorf("redis, %s: %q", command, answer)
	}
	return err
}

// askRedis gives a Redis a command and returns the first line of the answer, or a string whole.
func askRedis(addr, command string) (answer string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("redis, %s: %w", command, err)
		}
	}()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	length, isString := strings.CutPrefix(line, "$")
	if !isString {
		return line, nil
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 {
		return "", fmt.Errorf("it answers %q", line)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}
