package rest

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/segments"
)

// groupSummary is a group in a list.
type groupSummary struct {
	Group string `json:"group"`
	State string `json:"state"`
	Type  string `json:"type"`
	Node  int32  `json:"node"` // that owns it
	// records that it has not read, of partitions that it has committed for and the client may know of
	Lag          int64  `json:"lag"`
	ProtocolType string `json:"protocol_type,omitempty"` // of a classic group that has had members
	Protocol     string `json:"protocol,omitempty"`      // its assignor
}

// groupList is groups of all nodes by name, and after which name the next list begins.
type groupList struct {
	Groups      []groupSummary `json:"groups"`
	Total       int            `json:"total"`                 // that match
	Unreachable []int32        `json:"unreachable,omitempty"` // nodes whose groups may be missing
	Next        string         `json:"next,omitempty"`
}

// groupDetails is all there is to say of a group.
type groupDetails struct {
	groupSummary
	Members []groupMember `json:"members"`
	Claims  []claimed     `json:"claims"`
	Offsets []groupOffset `json:"offsets"`
}

type groupMember struct {
	ID         string `json:"id"`
	InstanceID string `json:"instance_id,omitempty"`
	ClientID   string `json:"client_id"`
	Host       string `json:"host"`
	// what it may read; of those that a client may know of
	Assigned []partitionName `json:"assigned"`
}

// groupOffset is where a group is in a partition.
type groupOffset struct {
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	Offset        int64  `json:"offset"` // of the next record to read
	Metadata      string `json:"metadata,omitempty"`
	InFlight      int    `json:"in_flight,omitempty"` // of a share group: delivered and not finished
	CommittedAt   string `json:"committed_at"`
	LogStart      int64  `json:"log_start_offset"`
	HighWatermark int64  `json:"high_watermark"`
	Lag           int64  `json:"lag"`
}

func hostPort(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }

// listGroups lists the groups of all nodes.
func (s *Server) listGroups(w http.ResponseWriter, r *http.Request, memory *share) error {
	list, err := s.groupList(r, memory)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}

// groupList is the groups that a request asks for, of those that its client may know of.
func (s *Server) groupList(r *http.Request, memory *share) (groupList, error) {
	q := queryOf(r, "after", "limit", "contains")
	limit, after := int(q.number("limit", maxListed, 1, maxListed)), q.text("after", "")
	if q.err != nil {
		return groupList{}, q.err
	}
	known, listed := int64(s.opts.Groups.GroupCount()), int64((1+len(s.opts.Node.Nodes()))*limit)
	if err := memory.grow(r.Context(), known*groupBytes+listed*listedGroupBytes); err != nil {
		return groupList{}, err
	}
	list, more := s.ownGroups(r, after, q.text("contains", ""), limit), false
	if r.Header.Get(forwardedField) == "" {
		more = s.addPeersGroups(r, &list)
	}
	slices.SortFunc(list.Groups, func(a, b groupSummary) int { return strings.Compare(a.Group, b.Group) })
	// one may be on its way from node to node
	list.Groups = slices.CompactFunc(list.Groups, func(a, b groupSummary) bool { return a.Group == b.Group })
	if more = more || len(list.Groups) > limit; more {
		list.Groups = list.Groups[:min(limit, len(list.Groups))]
		list.Next = list.Groups[len(list.Groups)-1].Group
	}
	return list, nil
}

// ownGroups are this node's, one more than limit so that the list knows whether there are more.
func (s *Server) ownGroups(r *http.Request, after, contains string, limit int) groupList {
	known := s.opts.Groups.List()
	all := allows(r, access.Describe, access.Cluster, access.ClusterName)
	known = slices.DeleteFunc(known, func(d groups.Description) bool {
		return !strings.Contains(d.Group, contains) || !all && !allows(r, access.Describe, access.Group, d.Group)
	})
	list := groupList{Groups: []groupSummary{}, Total: len(known)}
	known = slices.DeleteFunc(known, func(d groups.Description) bool { return d.Group <= after })
	slices.SortFunc(known, func(a, b groups.Description) int { return strings.Compare(a.Group, b.Group) })
	for i := range known[:min(len(known), limit+1)] {
		lag, _ := s.lagOf(known[i].Group, func(t *coordinator.Topic) bool {
			return allows(r, access.Describe, access.Topic, t.Name)
		})
		list.Groups = append(list.Groups, s.groupSummary(&known[i], lag))
	}
	return list
}

// addPeersGroups asks the other nodes for theirs. It says whether one has more than it lists.
func (s *Server) addPeersGroups(r *http.Request, list *groupList) (more bool) {
	path := "/v1/groups"
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	var mu sync.Mutex
	list.Unreachable = s.askPeers(r, func(peer coordinator.NodeInfo) error {
		var theirs groupList
		if err := s.askPeer(r.Context(), peer, path, &theirs); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		list.Groups = append(list.Groups, theirs.Groups...)
		list.Total += theirs.Total
		more = more || theirs.Next != ""
		return nil
	})
	return more
}

// askPeers asks all other nodes at once. It returns those that did not answer.
func (s *Server) askPeers(r *http.Request, ask func(peer coordinator.NodeInfo) error) (unreachable []int32) {
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, peer := range s.opts.Node.Nodes() {
		if peer.ID == s.opts.Node.Info().ID {
			continue
		}
		asking.Go(func() {
			if peer.HTTP == "" || ask(peer) != nil {
				mu.Lock()
				defer mu.Unlock()
				unreachable = append(unreachable, peer.ID)
			}
		})
	}
	awaitPeers(r.Context(), asking.Wait)
	slices.Sort(unreachable)
	return unreachable
}

func (s *Server) groupSummary(d *groups.Description, lag int64) groupSummary {
	return groupSummary{Group: d.Group, State: d.State.String(), Type: d.Type.String(),
		Node: s.opts.Node.Info().ID, Lag: lag, ProtocolType: d.ProtocolType, Protocol: d.Protocol}
}

// lagOf is how far a group is behind with the topics that are shown, and whether those are all that
// it has committed offsets for.
func (s *Server) lagOf(group string, shown func(*coordinator.Topic) bool) (sum int64, all bool) {
	view := s.view()
	all = true
	for id, lag := range groups.Lags(view, group) {
		switch t := view.TopicByID(id); {
		case t == nil: // deleted meanwhile
		case shown(t):
			sum += lag.Records
		default:
			all = false
		}
	}
	return sum, all
}

// offsetsOf is what a group has committed, and how far behind it is.
func (s *Server) offsetsOf(group string) []groupOffset {
	view := s.view()
	offsets := []groupOffset{}
	for _, c := range view.CommittedOffsets(group) {
		t := view.TopicByID(c.Partition.Topic)
		if t == nil {
			continue
		}
		info, _ := view.Partition(c.Partition)
		offsets = append(offsets, groupOffset{
			Topic: t.Name, Partition: c.Partition.Index, Offset: c.Offset, Metadata: c.Metadata,
			CommittedAt: millisText(c.Time), LogStart: info.LogStart, HighWatermark: info.HighWatermark,
			Lag: groups.Unread(c, info),
		})
	}
	slices.SortFunc(offsets, func(a, b groupOffset) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return offsets
}

// sharesOf is where a share group is: its offsets are those below which every record is finished.
func (s *Server) sharesOf(ctx context.Context, group string) ([]groupOffset, *kerr.Error) {
	states, refused := s.opts.Groups.ShareOffsets(ctx, group)
	if refused != nil {
		return nil, refused
	}
	offsets := s.offsetsOf(group)
	for i := range offsets {
		o := &offsets[i]
		o.Metadata = ""
		if t := s.view().Topic(o.Topic); t != nil {
			state := states[segments.Partition{Topic: t.ID, Index: o.Partition}]
			o.Offset, o.InFlight = state.Offset, state.InFlight
			o.Lag = max(0, o.HighWatermark-state.Offset-state.Finished)
		}
	}
	return offsets, nil
}

// describeGroup says all there is to say of a group.
func (s *Server) describeGroup(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	details, err := s.groupDetails(r, memory)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, details)
	return nil
}

// groupDetails is all there is to say of the group that a path names, which is this node's.
func (s *Server) groupDetails(r *http.Request, memory *share) (*groupDetails, error) {
	group := r.PathValue("group")
	if err := memory.grow(r.Context(), describedBytes+int64(s.view().CommittedCount(group))*offsetBytes); err != nil {
		return nil, err
	}
	d, refused := s.opts.Groups.Describe(r.Context(), group)
	if refused != nil {
		return nil, refused
	}
	if err := memory.grow(r.Context(), assignmentBytes(&d)); err != nil {
		return nil, err
	}
	claims, err := s.claimsOf(r, memory)
	if err != nil {
		return nil, err
	}
	var offsets []groupOffset
	if d.Type == groups.Share {
		offsets, refused = s.sharesOf(r.Context(), group)
	} else {
		refused = s.opts.Groups.Fetch(r.Context(), group, func(*coordinator.View) { offsets = s.offsetsOf(group) })
	}
	if refused != nil {
		return nil, refused
	}
	offsets = slices.DeleteFunc(offsets, func(o groupOffset) bool {
		return !allows(r, access.Describe, access.Topic, o.Topic)
	})
	lag := int64(0)
	for i := range offsets {
		lag += offsets[i].Lag
	}
	details := &groupDetails{groupSummary: s.groupSummary(&d, lag), Members: []groupMember{}, Claims: claims,
		Offsets: offsets}
	for i := range d.Members {
		m := &d.Members[i]
		details.Members = append(details.Members, groupMember{m.ID, m.InstanceID, m.ClientID,
			strings.TrimPrefix(m.ClientHost, "/"), s.assignedTo(r, m)})
	}
	return details, nil
}

// deleteGroup deletes a group that has no members.
func (s *Server) deleteGroup(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	if refused := s.opts.Groups.Delete(r.Context(), r.PathValue("group")); refused != nil {
		return refused
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// groupReset says from where a group is to read a topic on.
type groupReset struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"` // none: all
	To         string  `json:"to"`         // earliest, latest, an offset or a time
	DryRun     bool    `json:"dry_run"`
}

// resetOffset is where a group was in a partition, and is now.
type resetOffset struct {
	Partition int32  `json:"partition"`
	Before    *int64 `json:"before"`
	Offset    int64  `json:"offset"`
}

// resetAnswer is what was set, or would be.
type resetAnswer struct {
	Topic   string        `json:"topic"`
	Offsets []resetOffset `json:"offsets"`
}

// resetGroup sets from where a group that has no members reads a topic on. Offsets are moved into
// the range that there is.
func (s *Server) resetGroup(w http.ResponseWriter, r *http.Request, memory *share) error {
	var asked groupReset
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	to, err := parsePlace("to", asked.To)
	if err != nil {
		return err
	}
	t, err := s.readableTopic(r, asked.Topic)
	if err != nil {
		return err
	}
	group := r.PathValue("group")
	if err := memory.grow(r.Context(), int64(t.Partitions)*offsetBytes); err != nil {
		return err
	}
	_ = s.catchUp(r.Context())
	result := resetAnswer{Topic: t.Name, Offsets: []resetOffset{}}
	var commits []coordinator.GroupOffset
	for _, p := range partitionsOr(asked.Partitions, t) {
		at := segments.Partition{Topic: t.ID, Index: p}
		offset, err := s.resetTo(r.Context(), at, to)
		if err != nil {
			return err
		}
		result.Offsets = append(result.Offsets, resetOffset{Partition: p, Offset: offset})
		commits = append(commits, coordinator.GroupOffset{Partition: at, Offset: offset, LeaderEpoch: -1})
	}
	refused := s.opts.Groups.Fetch(r.Context(), group, func(view *coordinator.View) {
		for i := range commits {
			if c, there := view.Committed(group, commits[i].Partition); there {
				result.Offsets[i].Before = &c.Offset
			}
		}
	})
	if refused != nil {
		return refused
	}
	if !asked.DryRun {
		if refused := s.opts.Groups.Commit(r.Context(), group, groups.Committer{Generation: -1}, commits); refused != nil {
			return refused
		}
	}
	answer(w, http.StatusOK, typeJSON, result)
	return nil
}

// partitionsOr are the partitions that are named, each once, or all.
func partitionsOr(named []int32, t *coordinator.Topic) []int32 {
	if len(named) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(named)))
	}
	all := make([]int32, t.Partitions)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// resetTo is the offset of a place, moved into the range that there is.
func (s *Server) resetTo(ctx context.Context, at segments.Partition, to index.Place) (int64, error) {
	info, ok := s.view().Partition(at)
	if !ok {
		return 0, notFound(kerr.UnknownTopicOrPartition, "the topic has no partition %d", at.Index)
	}
	offset, err := s.offsetOf(ctx, at, to)
	return min(max(offset, info.LogStart), info.HighWatermark), err
}
