package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"firn.dev/cleanup"
	"firn.dev/coordinator"
	"firn.dev/coordinator/embedded"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/ingest"
	"firn.dev/kafka"
	"firn.dev/segments"
	"firn.dev/segments/memory"
	"firn.dev/transactions"
)

// cluster is servers on one bucket, wired as cmd/firn does, behind connections in memory.
type cluster struct {
	bucket  *Bucket
	network kfake.VirtualNetwork
	nodes   []*node
	stop    context.CancelFunc
	serving sync.WaitGroup
}

// node is one server.
type node struct {
	member       *coordinator.Node
	index        *index.Index
	writer       *ingest.Writer
	groups       *groups.Manager
	transactions *transactions.Manager
	cleaner      *cleanup.Cleaner
}

// shared hides that the coordinator is of this process: nodes share it, as they share a Redis. What
// a call to Redis takes is not in the figures, a fraction of a millisecond.
type shared struct{ coordinator.Coordinator }

const firstPort = 9092

func address(node int) string { return fmt.Sprintf("localhost:%d", firstPort+node) }

// start starts the servers of a setting.
func start(ctx context.Context, s *Setting) (c *cluster, err error) {
	ctx, stop := context.WithCancel(ctx)
	c = &cluster{bucket: NewBucket(memory.New(), s.Profile, s.Seed), stop: stop}
	var coord coordinator.Coordinator = embedded.New(embedded.Options{})
	if s.Nodes > 1 {
		coord = shared{coord}
	}
	for i := range s.Nodes {
		n := &node{}
		c.nodes = append(c.nodes, n)
		server, err := n.wire(ctx, s, i, c.bucket, coord)
		if err != nil {
			return c, err
		}
		l, err := c.network.Listen("tcp", address(i))
		if err != nil {
			return c, err
		}
		c.serving.Go(func() {
			_ = server.Serve(ctx, kafka.Listener{Listener: listener{l}, Name: kafka.DefaultListener})
		})
	}
	return c, nil
}

// wire puts the rooms of a server together.
func (n *node) wire(ctx context.Context, s *Setting, i int, bucket segments.Store,
	coord coordinator.Coordinator) (server *kafka.Server, err error) {
	logger := slog.New(slog.DiscardHandler)
	n.member, err = coordinator.Join(ctx, coordinator.NodeOptions{
		Store: bucket, Coordinator: coord, Logger: logger,
		Retry: func(err error) bool { return errors.Is(err, errBusy) },
		Info: coordinator.NodeInfo{ID: int32(i + 1), KafkaHost: "localhost", KafkaPort: int32(firstPort + i),
			Listeners: []coordinator.Listener{{Name: kafka.DefaultListener, Host: "localhost", Port: int32(firstPort + i)}}},
	})
	if err != nil {
		return nil, err
	}
	n.index, err = index.New(index.Options{Store: bucket, View: n.member.View(), Logger: logger,
		CatchUp: n.member.CatchUp})
	if err != nil {
		return nil, err
	}
	pace := cleanup.NewPace(64 << 20)
	n.writer, err = ingest.New(ingest.Options{Store: pace.Timed(bucket), Node: n.member, Logger: logger,
		PutBudget: s.Budget, BudgetShared: s.Shared, CarryBytes: s.Carry, Sealed: n.index.Keep})
	if err != nil {
		return nil, err
	}
	if n.groups, err = groups.New(groups.Options{Node: n.member, Logger: logger}); err != nil {
		return nil, err
	}
	n.transactions, err = transactions.New(transactions.Options{Node: n.member, Writer: n.writer, Logger: logger})
	if err != nil {
		return nil, err
	}
	n.cleaner, err = cleanup.New(cleanup.Options{Node: n.member, Store: bucket, Pace: pace, Logger: logger})
	if err != nil {
		return nil, err
	}
	return kafka.New(kafka.Options{Node: n.member, Writer: n.writer, Index: n.index, Groups: n.groups,
		Transactions: n.transactions, Logger: logger, KeepPlain: true})
}

// end stops the servers.
func (c *cluster) end() {
	c.stop()
	c.serving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, n := range c.nodes {
		if n.cleaner != nil {
			_ = n.cleaner.Close(ctx)
		}
		if n.transactions != nil {
			_ = n.transactions.Close(ctx)
		}
		if n.writer != nil {
			_ = n.writer.Close(ctx)
		}
		if n.groups != nil {
			_ = n.groups.Close(ctx)
		}
		if n.index != nil {
			_ = n.index.Close()
		}
		if n.member != nil {
			_ = n.member.Close(ctx)
		}
	}
}

// listener is closed twice, and accepts nothing after that: net.ErrClosed says so.
type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, net.ErrClosed
	}
	return c, nil
}
