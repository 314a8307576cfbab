package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/groups"
	"firn.dev/retry"
	"firn.dev/segments"
)

// ShareAcknowledge, versions 1 and 2, as Kafka 4: members of a share group say what has become of
// records that they acquired. The answer comes when that is decided, like the answer to a commit of
// offsets. Of each partition everything is taken in, or nothing. Version 2 has renewals (KIP-1222),
// which a group allows with share.renew.acknowledge.enable.
func init() {
	register(1, 2, shareAcknowledge, rules{
		needs: []access.Need{access.Read.On(access.Group), access.Read.On(access.Topic)}, quota: access.Requests})
}

func shareAcknowledge(ctx context.Context, s *Server, from *peer,
	req *kmsg.ShareAcknowledgeRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ShareAcknowledgeResponse)
	call, refused := s.newShareCall(from, req.GroupID, req.MemberID)
	if refused == nil {
		resp.AcquisitionLockTimeoutMillis = int32(call.config.Lock.Milliseconds())
		var err *kerr.Error
		if call.session, err = s.shares.take(from, call.key, req.ShareSessionEpoch, false); err != nil {
			refused = refuse(err, "%s", err.Description)
		}
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	var said []saidAcks
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			batches := make([]kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch, len(p.AcknowledgementBatches))
			for k, b := range p.AcknowledgementBatches {
				batches[k] = kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch(b)
			}
			said = append(said, saidAcks{segments.Partition{Topic: t.TopicID, Index: p.Partition}, batches})
		}
	}
	answers := call.acknowledge(ctx, said, req.IsRenewAck)
	if req.ShareSessionEpoch == shareSessionEnds {
		call.release(ctx)
	}
	for i, a := range said {
		n := len(resp.Topics) - 1
		if n < 0 || resp.Topics[n].TopicID != a.partition.Topic {
			t := kmsg.NewShareAcknowledgeResponseTopic()
			t.TopicID = a.partition.Topic
			resp.Topics = append(resp.Topics, t)
			n++
		}
		p := kmsg.NewShareAcknowledgeResponseTopicPartition()
		p.Partition, p.ErrorCode, p.ErrorMessage = a.partition.Index, answers[i].code(), answers[i].text()
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = -1, -1
		resp.Topics[n].Partitions = append(resp.Topics[n].Partitions, p)
	}
	return resp, nil
}

// shareCall is a ShareFetch or ShareAcknowledge on its way.
type shareCall struct {
	s       *Server
	from    *peer
	key     shareSessionKey
	config  groups.ShareConfig
	session *shareSession
}

// newShareCall checks of whom a request is.
func (s *Server) newShareCall(from *peer, group, member *string) (*shareCall, *refusal) {
	key := shareSessionKey{orEmpty(group), orEmpty(member)}
	if refused := from.may(access.Read, access.Group, key.group); refused != nil {
		return nil, refused
	}
	if refused := checkShareGroupID(key.group); refused != nil {
		return nil, refused
	}
	if key.member == "" || len(key.member) > maxShareMemberID {
		return nil, refuse(kerr.InvalidRequest, "MemberId has to have 1 to %d characters.", maxShareMemberID)
	}
	return &shareCall{s: s, from: from, key: key, config: s.opts.Groups.ShareConfigOf(key.group)}, nil
}

// owner is who decides about the group, now.
func (c *shareCall) owner() ShareOwner { return c.s.shareOwner(c.key.group, c.from.asks.Client) }

// saidAcks is what a request says of the records of a partition.
type saidAcks struct {
	partition segments.Partition
	batches   []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch
}

// mayRead says whether records of a partition are the client's to read.
func (c *shareCall) mayRead(at segments.Partition) *refusal {
	topic := c.s.opts.Node.View().TopicByID(at.Topic)
	if topic == nil {
		return refuse(kerr.UnknownTopicID, "there is no topic with this id")
	}
	if refused := c.from.may(access.Read, access.Topic, topic.Name); refused != nil {
		return refused
	}
	if at.Index < 0 || at.Index >= topic.Partitions {
		return noPartition(at.Index)
	}
	return nil
}

// acknowledge takes in what a request says, and answers for each partition.
func (c *shareCall) acknowledge(ctx context.Context, said []saidAcks, renews bool) []*refusal {
	answers := make([]*refusal, len(said))
	var acks []groups.ShareAcks
	var of []int
	for i, a := range said {
		if answers[i] = c.mayRead(a.partition); answers[i] != nil {
			continue
		}
		some := groups.ShareAcks{Partition: a.partition, Acks: make([]groups.ShareAck, len(a.batches))}
		for j, b := range a.batches {
			types := make([]groups.AckType, len(b.AcknowledgeTypes))
			for k, t := range b.AcknowledgeTypes {
				types[k] = groups.AckType(t)
				if types[k] == groups.AckRenew && !renews {
					answers[i] = refuse(kerr.InvalidRequest, "a renewal in a request that says that it has none")
				}
			}
			some.Acks[j] = groups.ShareAck{LogRange: groups.LogRange{First: b.FirstOffset, Last: b.LastOffset}, Types: types}
		}
		if answers[i] == nil {
			acks, of = append(acks, some), append(of, i)
		}
	}
	if len(acks) == 0 {
		return answers
	}
	// Not again: the owner may have taken it in, or there is another, for which nothing is acquired.
	errs, err := c.owner().AcknowledgeShares(ctx, c.key.group, c.key.member, acks)
	for j, i := range of {
		switch {
		case err == kerr.NotCoordinator, err == kerr.CoordinatorNotAvailable: // clients know of leaders alone here
			answers[i] = refuse(kerr.NotLeaderForPartition, "the group's owner cannot be reached: %v", err)
		case err != nil:
			answers[i] = refuse(err, "%s", err.Description)
		case errs[j] != nil:
			answers[i] = refuse(errs[j], "%s", errs[j].Description)
		}
	}
	return answers
}

// ownerPatience is for how long a request waits for its group to have an owner.
const ownerPatience = 5 * time.Second

// atOwner runs a question to the group's owner, again while the group has none.
func (c *shareCall) atOwner(ctx context.Context, ask func() *kerr.Error) *kerr.Error {
	until := time.Now().Add(ownerPatience)
	again := retry.Backoff{First: 20 * time.Millisecond, Most: 500 * time.Millisecond}
	for n := 0; ; n++ {
		err := ask()
		if err != kerr.NotCoordinator && err != kerr.CoordinatorNotAvailable || time.Now().After(until) ||
			again.Pause(ctx, n) != nil {
			return err
		}
	}
}

// release gives back what the session's member has acquired in it.
func (c *shareCall) release(ctx context.Context) {
	c.atOwner(ctx, func() *kerr.Error {
		return c.owner().ReleaseShares(ctx, c.key.group, c.key.member, c.session.indexes())
	})
}
