package kafka

import "github.com/twmb/franz-go/pkg/kerr"

// leaderEpoch is the leader epoch of every partition. It never grows, because a change of leader
// loses nothing that a client would have to find out about: every node reads the same bucket.
const leaderEpoch = 0

// checkLeaderEpoch refuses what a client asks of a leader of another epoch. -1 means any.
func checkLeaderEpoch(believed int32) *refusal {
	switch {
	case believed > leaderEpoch:
		return refuse(kerr.UnknownLeaderEpoch, "leader epoch is %d, not %d", leaderEpoch, believed)
	case believed < -1:
		return refuse(kerr.FencedLeaderEpoch, "leader epoch is %d, not %d", leaderEpoch, believed)
	}
	return nil
}
