package groups

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/groups/internal/protocol"
	"firn.dev/segments"
)

// ConsumerHeartbeat answers a heartbeat of a member of the new protocol.
func (m *Manager) ConsumerHeartbeat(ctx context.Context, group string, r ConsumerHeartbeat) ConsumerAnswer {
	if err := r.Validate(); err != nil {
		return ConsumerAnswer{Err: err}
	}
	var a ConsumerAnswer
	err := m.with(ctx, group, r.Joins(), func(_ *shardOwnership, l *hostedGroup) error {
		if l == nil {
			return kerr.UnknownMemberID
		}
		r.Spare = m.opts.Limits.TotalBytes - m.bytes.Load()
		r.Session = m.sessionOf(group)
		return l.ask(func(now time.Time, g *protocol.Group) *kerr.Error {
			a = g.ConsumerHeartbeat(now, &r, randomID(), m.topics.Load())
			return a.Err
		})
	})
	if err != nil {
		return ConsumerAnswer{Err: m.told(err)}
	}
	a.Interval = m.ofGroup(group, dynamicconfig.ConsumerHeartbeatInterval, m.opts.ConsumerHeartbeatInterval)
	slices.SortFunc(a.Assigned, segments.Partition.Compare)
	return a
}

// sessionOf is the session timeout of a group's members of the new protocol.
func (m *Manager) sessionOf(group string) time.Duration {
	return m.ofGroup(group, dynamicconfig.ConsumerSessionTimeout, m.opts.ConsumerSessionTimeout)
}

// ofGroup is what a config of a group says, in milliseconds; otherwise if it is not set.
func (m *Manager) ofGroup(group, config string, otherwise time.Duration) time.Duration {
	set, is := dynamicconfig.Value(m.opts.Node.View(), dynamicconfig.Resource{Kind: dynamicconfig.Group, Name: group},
		config)
	if n, err := strconv.ParseInt(set, 10, 64); is && err == nil {
		return time.Duration(n) * time.Millisecond
	}
	return otherwise
}

// parsedMillis is a time that was checked when it was set.
func parsedMillis(text string) time.Duration { return time.Duration(parsed(text)) * time.Millisecond }

// parsed is a number that was checked when it was set.
func parsed(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// Fetch has read look at what a group has committed. Without an error that is what was committed
// last: every commit that was answered before the call is in it, at whatever node, and what a
// later call reads is not older.
func (m *Manager) Fetch(ctx context.Context, group string, read func(view *coordinator.View)) *kerr.Error {
	return m.FetchAs(ctx, group, "", -1, read)
}

// FetchAs is Fetch for a member of the new protocol, which says who it is.
func (m *Manager) FetchAs(
	ctx context.Context, group, member string, epoch int32, read func(view *coordinator.View),
) *kerr.Error {
	t, err := m.ownership(ctx, group)
	if err == nil && member != "" && epoch >= 0 {
		err = t.mayFetch(group, member, epoch)
	}
	if err == nil && m.sharing(t, group) {
		err = kerr.GroupIDNotFound // what is stored for it are no offsets of consumers
	}
	if err != nil {
		return m.told(err)
	}
	read(m.opts.Node.View())
	return m.told(t.current(ctx)) // looked at afterwards: another may have become the owner while this node was reading
}

// sharing says that a group is a share group.
func (m *Manager) sharing(t *shardOwnership, group string) (is bool) {
	l, err := t.enter(group, false)
	if err != nil || l == nil {
		d, _ := m.dormant(group)
		return d.Type == Share
	}
	defer t.leave(l)
	l.step(func(_ time.Time, g *protocol.Group) { is = g.IsShare() })
	return is
}

// mayFetch says whether a member that asks for committed offsets is one.
func (t *shardOwnership) mayFetch(group, member string, epoch int32) error {
	l, err := t.enter(group, false)
	if err != nil || l == nil {
		return err
	}
	defer t.leave(l)
	return l.ask(func(_ time.Time, g *protocol.Group) *kerr.Error { return g.MayFetch(member, epoch) })
}

// followTopics tells all groups of the topics that there are, whenever they change.
func (m *Manager) followTopics(ctx context.Context) {
	view := m.opts.Node.View()
	changes := view.Watch()
	defer changes.Close()
	for {
		m.learnTopics()
		select {
		case <-changes.C:
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manager) learnTopics() {
	m.learning.Lock()
	defer m.learning.Unlock()
	before := m.topics.Load()
	topics := before.Next(m.opts.Node.View().Topics())
	if topics == before {
		return
	}
	m.topics.Store(topics)
	for i := range m.shards {
		if t := m.shards[i].held.Load(); t != nil {
			for _, l := range t.all() {
				l.see(topics)
			}
		}
	}
}

// see tells a group which topics there are.
func (l *hostedGroup) see(topics *protocol.Catalog) {
	l.step(func(_ time.Time, g *protocol.Group) { g.See(topics) })
}
