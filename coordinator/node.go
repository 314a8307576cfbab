package coordinator

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"firn/segments"
)

// NodeOptions is what a Node needs.
type NodeOptions struct {
	Store       segments.Store
	Coordinator Coordinator
	Info        NodeInfo // Life is filled in
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

// Node is this process's membership of a cluster. It lives one life after another: when a recovery seals its journal chain, or
// the incarnation changes, the life ends and Life returns the next. With an embedded coordinator, being fenced means that another process has
// taken the bucket over: then there is no next life, Done is closed and Err says so.
type Node struct{}

// Join recovers the coordinator's state if it has none, begins the first life, loads the view and follows the commit stream.
func Join(ctx context.Context, opts NodeOptions) (*Node, error) { panic("unwritten") }

// View is the state that this node's readers share; it stays the same through all lives.
func (n *Node) View() *View { panic("unwritten") }

// Life returns the current life, and waits for it while it begins. It fails with ErrFenced when there will be none any more.
func (n *Node) Life(ctx context.Context) (*Life, error) { panic("unwritten") }

// Change proposes, journals and confirms a change, and returns once this node's view shows it. It goes on in the next life when one ends.
func (n *Node) Change(ctx context.Context, change Change) (Fact, error) { panic("unwritten") }

// ProducerID hands out a producer id that nobody has had.
func (n *Node) ProducerID(ctx context.Context) (int64, error) { panic("unwritten") }

// Nodes returns the live nodes of the cluster, ordered by id, as last heard.
func (n *Node) Nodes() []NodeInfo { panic("unwritten") }

// Info is what this node registered of itself, in its present life.
func (n *Node) Info() NodeInfo { panic("unwritten") }

// Done is closed when the node cannot go on; Err then says why.
func (n *Node) Done() <-chan struct{} { panic("unwritten") }

// Err says why Done is closed, or nil.
func (n *Node) Err() error { panic("unwritten") }

// Close ends the membership: it hands leases back, leaves the registry and waits for everything that it started.
func (n *Node) Close(ctx context.Context) error { panic("unwritten") }

// Life is one life of a node: one journal chain, in one incarnation.
type Life struct{}

// Incarnation is the one that this life is lived in.
func (l *Life) Incarnation() Incarnation { panic("unwritten") }

// Commit asks the coordinator for offsets: see Log.Commit. The answer may be told to nobody before Settle and the view's high watermark.
// ErrFenced and ErrIncarnation mean that this life is over: commit again in the next.
func (l *Life) Commit(ctx context.Context, req CommitRequest) (CommitAnswer, error) {
	panic("unwritten")
}

// Settle writes the facts into the journal and confirms them. Concurrent calls share journal objects. ErrFenced means that this life is over and
// that it is not known whether the facts are in the journal: commit again in the next.
func (l *Life) Settle(ctx context.Context, entries ...Entry) error { panic("unwritten") }

// Ended is closed when this life is over.
func (l *Life) Ended() <-chan struct{} { panic("unwritten") }
