package groups

import "sync/atomic"

// numbers are what the owner of a shard numbers by itself: the versions of commits and the epochs
// of claims. They outlive an ownership: a node that takes a lease again which nobody has had
// meanwhile has it with the same epoch, and what it sent in its former ownership may still be on
// its way.
type numbers struct {
	epoch   atomic.Uint64 // of the lease under which was counted
	version atomic.Uint64 // of the last commit
	claimed atomic.Uint64 // claims under that lease
}

// A claim's epoch is the incarnation (20 bits), the number of the group's lease in it (22), and a
// count (22). So it grows with each claim, with each owner and with each recovery. When the count
// runs out, the lease is handed back, and the next has a higher number.
const (
	claimBits = 22
	leaseBits = 22
)

// begin goes on under a lease, behind the barrier of that version.
func (n *numbers) begin(epoch, barrier uint64) {
	if n.epoch.Swap(epoch) != epoch {
		n.claimed.Store(0)
	}
	for {
		last := n.version.Load()
		if last >= barrier || n.version.CompareAndSwap(last, barrier) {
			return
		}
	}
}

func (n *numbers) nextVersion() uint64 { return n.version.Add(1) }
