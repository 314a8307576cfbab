package rest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/segments"
)

// Kafka's clients ask any node for records of a share group, and that node asks the group's owner,
// for them: which records there are to be had, for some of them, and what has become of others.

// shareQuestion is what a node asks the owner of a share group.
type shareQuestion struct {
	Ask        string           `json:"ask"` // states, begin, acquire, acknowledge or release
	Member     string           `json:"member,omitempty"`
	Most       int              `json:"most,omitempty"`
	Exactly    bool             `json:"exactly,omitempty"`
	Split      int              `json:"split,omitempty"`
	Partitions []askedPartition `json:"partitions"`
}

// askedPartition is a partition of a shareQuestion, with what its kind of question says.
type askedPartition struct {
	TopicID   string     `json:"topic_id"` // 32 hexadecimal digits
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset,omitempty"`  // begin
	To        int64      `json:"to,omitempty"`      // acquire: what was read, from Offset
	Batches   [][2]int64 `json:"batches,omitempty"` // acquire: first and last offset of each
	Acks      []askedAck `json:"acks,omitempty"`    // acknowledge
}

type askedAck struct {
	First int64            `json:"first"`
	Last  int64            `json:"last"`
	Types []groups.AckType `json:"types"`
}

// shareAnswer is the owner's answer, with a part for each partition, in order.
type shareAnswer struct {
	Error      *shareError       `json:"error,omitempty"` // of the group
	Partitions []answerPartition `json:"partitions"`
}

type answerPartition struct {
	Error    *shareError `json:"error,omitempty"`
	Offset   int64       `json:"offset,omitempty"`
	New      bool        `json:"new,omitempty"`
	Full     bool        `json:"full,omitempty"`
	Acquired [][3]int64  `json:"acquired,omitempty"` // first and last offset, and deliveries
}

// shareError is an error as Kafka has it.
type shareError struct {
	Code    int16  `json:"code"`
	Message string `json:"message"`
}

func toShareError(err *kerr.Error) *shareError {
	if err == nil {
		return nil
	}
	return &shareError{err.Code, err.Description}
}

func (e *shareError) kafka() *kerr.Error {
	if e == nil {
		return nil
	}
	known := kerr.TypedErrorForCode(e.Code)
	if known == nil {
		known = kerr.UnknownServerError
	}
	if known.Description == e.Message {
		return known
	}
	own := *known
	own.Description = e.Message
	return &own
}

// askShares answers another node's question about a share group that this node owns.
func (s *Server) askShares(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	var q shareQuestion
	if err := readJSON(w, r, &q, memory); err != nil {
		return err
	}
	partitions := make([]segments.Partition, len(q.Partitions))
	for i := range q.Partitions {
		p := &q.Partitions[i]
		id, err := hex.DecodeString(p.TopicID)
		if err != nil || len(id) != len(partitions[i].Topic) {
			return invalid("topic_id", "is %q, which is not 32 hexadecimal digits", p.TopicID)
		}
		copy(partitions[i].Topic[:], id)
		partitions[i].Index = p.Partition
		if t := s.view().TopicByID(partitions[i].Topic); t != nil && q.Ask != "release" { // which tells of no record
			if err := s.may(r, access.Read, access.Topic, t.Name); err != nil {
				return err
			}
		}
	}
	answered, err := s.answerShares(r.Context(), r.PathValue("group"), &q, partitions)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, answered)
	return nil
}

func (s *Server) answerShares(ctx context.Context, group string, q *shareQuestion,
	partitions []segments.Partition) (shareAnswer, error) {
	a := shareAnswer{Partitions: make([]answerPartition, len(partitions))}
	var refused *kerr.Error
	switch q.Ask {
	case "states":
		states, errs, _, err := s.opts.Groups.Shares(ctx, group, partitions)
		refused = err
		for i, state := range states {
			a.Partitions[i] = answerPartition{Error: toShareError(errs[i]), Offset: state.Offset, New: state.New,
				Full: state.Full}
		}
	case "begin":
		begin := make([]groups.ShareBeginning, len(partitions))
		for i, at := range partitions {
			begin[i] = groups.ShareBeginning{Partition: at, Offset: q.Partitions[i].Offset}
		}
		refused = s.opts.Groups.BeginShares(ctx, group, begin)
	case "acquire":
		var got [][]groups.AcquiredRange
		got, refused = s.opts.Groups.AcquireShares(ctx, group, q.Member, q.read(partitions),
			groups.AcquireBounds{Most: q.Most, Exactly: q.Exactly, Split: q.Split})
		for i, ranges := range got {
			for _, r := range ranges {
				a.Partitions[i].Acquired = append(a.Partitions[i].Acquired, [3]int64{r.First, r.Last, int64(r.Deliveries)})
			}
		}
	case "acknowledge":
		var errs []*kerr.Error
		errs, refused = s.opts.Groups.AcknowledgeShares(ctx, group, q.Member, q.said(partitions))
		for i, err := range errs {
			a.Partitions[i].Error = toShareError(err)
		}
	case "release":
		refused = s.opts.Groups.ReleaseShares(ctx, group, q.Member, partitions)
	default:
		return a, invalid("ask", "is %q, not states, begin, acquire, acknowledge or release", q.Ask)
	}
	a.Error = toShareError(refused)
	return a, nil
}

func (q *shareQuestion) read(partitions []segments.Partition) []groups.ShareAcquire {
	read := make([]groups.ShareAcquire, len(partitions))
	for i, at := range partitions {
		p := &q.Partitions[i]
		read[i] = groups.ShareAcquire{Partition: at, From: p.Offset, To: p.To}
		for _, b := range p.Batches {
			read[i].Batches = append(read[i].Batches, groups.LogRange{First: b[0], Last: b[1]})
		}
	}
	return read
}

func (q *shareQuestion) said(partitions []segments.Partition) []groups.ShareAcks {
	said := make([]groups.ShareAcks, len(partitions))
	for i, at := range partitions {
		said[i].Partition = at
		for _, a := range q.Partitions[i].Acks {
			said[i].Acks = append(said[i].Acks, groups.ShareAck{LogRange: groups.LogRange{First: a.First, Last: a.Last},
				Types: a.Types})
		}
	}
	return said
}

// RemoteShares asks another node about a share group that is that node's, for a client. Its methods
// are those of groups.Manager.
type RemoteShares struct {
	s      *Server
	owner  coordinator.NodeInfo
	client access.Client
}

// RemoteShares returns the owner of a share group; false if that is this node, or there is none.
func (s *Server) RemoteShares(group string, client access.Client) (*RemoteShares, bool) {
	owner, any := s.opts.Groups.Owner(group)
	if !any || owner.ID == s.opts.Node.Info().ID {
		return nil, false
	}
	return &RemoteShares{s, owner, client}, true
}

// shareQuestionTimeout is longer than the owner may take to become the owner.
const shareQuestionTimeout = 15 * time.Second

// ask asks the owner. A question that is longer than it takes is asked in halves.
func (o *RemoteShares) ask(ctx context.Context, group string, q *shareQuestion) (shareAnswer, *kerr.Error) {
	var a shareAnswer
	body, err := json.Marshal(q)
	if n := len(q.Partitions); err == nil && len(body) > maxAdminBody && n > 1 {
		return o.askHalves(ctx, group, q)
	}
	if err == nil {
		err = o.post(ctx, "/v1/groups/"+url.PathEscape(group)+"/shares", body, &a)
	}
	switch {
	case errors.Is(err, errLongQuestion):
		o.s.opts.Logger.Warn("a question about a share group is too long for its owner", "group", group,
			"bytes", len(body), "error", err)
		return a, kerr.CoordinatorNotAvailable
	case err != nil:
		o.s.opts.Logger.Debug("the owner of a share group cannot be asked", "group", group, "node", o.owner.ID, "error", err)
		return a, kerr.CoordinatorNotAvailable
	case a.Error != nil:
		return a, a.Error.kafka()
	case len(a.Partitions) != len(q.Partitions):
		return a, kerr.CoordinatorNotAvailable
	}
	return a, nil
}

// askHalves asks a question about half of its partitions each. What the first half has brought is
// answered whatever becomes of the other.
func (o *RemoteShares) askHalves(ctx context.Context, group string, q *shareQuestion) (shareAnswer, *kerr.Error) {
	first, second := *q, *q
	n := len(q.Partitions) / 2
	first.Partitions, second.Partitions = q.Partitions[:n], q.Partitions[n:]
	a, err := o.ask(ctx, group, &first)
	if err != nil {
		return a, err
	}
	for _, p := range a.Partitions {
		for _, r := range p.Acquired {
			second.Most -= int(r[1] - r[0] + 1)
		}
	}
	b := shareAnswer{Partitions: make([]answerPartition, len(second.Partitions))}
	if q.Ask != "acquire" || second.Most > 0 {
		var more shareAnswer
		switch more, err = o.ask(ctx, group, &second); {
		case err == nil:
			b = more
		case q.Ask == "acknowledge":
			for i := range b.Partitions {
				b.Partitions[i].Error = toShareError(kerr.NotLeaderForPartition) // as clients know it
			}
		case q.Ask != "acquire":
			return a, err
		}
	}
	a.Partitions = append(a.Partitions, b.Partitions...)
	return a, nil
}

var errLongQuestion = errors.New("413 Request Entity Too Large")

func (o *RemoteShares) post(ctx context.Context, path string, body []byte, a any) error {
	if o.owner.HTTP == "" {
		return fmt.Errorf("node %d serves no HTTP that others can reach: start it with an address for them (%s)",
			o.owner.ID, o.s.setting("NodeInfo.HTTP"))
	}
	ctx, cancel := context.WithTimeout(ctx, shareQuestionTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, peerURL(o.owner).String()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", typeJSON)
	if err := o.s.provePeer(r, o.client, o.owner, body); err != nil {
		return err
	}
	resp, err := o.s.peers.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusRequestEntityTooLarge {
		return errLongQuestion
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("node %d answers %s", o.owner.ID, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxPeerAnswer)).Decode(a)
}

func askedPartitions(partitions []segments.Partition) []askedPartition {
	asked := make([]askedPartition, len(partitions))
	for i, p := range partitions {
		asked[i] = named(p)
	}
	return asked
}

func named(p segments.Partition) askedPartition {
	return askedPartition{TopicID: hex.EncodeToString(p.Topic[:]), Partition: p.Index}
}

// Shares is groups.Manager.Shares, but for the channel, which is nil: nobody tells of what is freed
// elsewhere.
func (o *RemoteShares) Shares(ctx context.Context, group string, partitions []segments.Partition) (
	[]groups.ShareState, []*kerr.Error, <-chan struct{}, *kerr.Error) {
	a, err := o.ask(ctx, group, &shareQuestion{Ask: "states", Partitions: askedPartitions(partitions)})
	if err != nil {
		return nil, nil, nil, err
	}
	states, errs := make([]groups.ShareState, len(partitions)), make([]*kerr.Error, len(partitions))
	for i, p := range a.Partitions {
		states[i] = groups.ShareState{Offset: p.Offset, New: p.New, Full: p.Full}
		errs[i] = p.Error.kafka()
	}
	return states, errs, nil, nil
}

// BeginShares is groups.Manager.BeginShares.
func (o *RemoteShares) BeginShares(ctx context.Context, group string, begin []groups.ShareBeginning) *kerr.Error {
	q := &shareQuestion{Ask: "begin"}
	for _, b := range begin {
		p := named(b.Partition)
		p.Offset = b.Offset
		q.Partitions = append(q.Partitions, p)
	}
	_, err := o.ask(ctx, group, q)
	return err
}

// AcquireShares is groups.Manager.AcquireShares.
func (o *RemoteShares) AcquireShares(ctx context.Context, group, member string, read []groups.ShareAcquire,
	bounds groups.AcquireBounds) ([][]groups.AcquiredRange, *kerr.Error) {
	q := &shareQuestion{Ask: "acquire", Member: member, Most: bounds.Most, Exactly: bounds.Exactly, Split: bounds.Split}
	for _, r := range read {
		p := named(r.Partition)
		p.Offset, p.To = r.From, r.To
		for _, b := range r.Batches {
			p.Batches = append(p.Batches, [2]int64{b.First, b.Last})
		}
		q.Partitions = append(q.Partitions, p)
	}
	a, err := o.ask(ctx, group, q)
	if err != nil {
		return nil, err
	}
	got := make([][]groups.AcquiredRange, len(read))
	for i, p := range a.Partitions {
		for _, r := range p.Acquired {
			got[i] = append(got[i], groups.AcquiredRange{LogRange: groups.LogRange{First: r[0], Last: r[1]},
				Deliveries: int16(r[2])})
		}
	}
	return got, nil
}

// AcknowledgeShares is groups.Manager.AcknowledgeShares.
func (o *RemoteShares) AcknowledgeShares(ctx context.Context, group, member string, said []groups.ShareAcks) (
	[]*kerr.Error, *kerr.Error) {
	q := &shareQuestion{Ask: "acknowledge", Member: member}
	for _, some := range said {
		p := named(some.Partition)
		for _, a := range some.Acks {
			p.Acks = append(p.Acks, askedAck{a.First, a.Last, a.Types})
		}
		q.Partitions = append(q.Partitions, p)
	}
	a, err := o.ask(ctx, group, q)
	if err != nil {
		return nil, err
	}
	errs := make([]*kerr.Error, len(said))
	for i, p := range a.Partitions {
		errs[i] = p.Error.kafka()
	}
	return errs, nil
}

// ReleaseShares is groups.Manager.ReleaseShares.
func (o *RemoteShares) ReleaseShares(ctx context.Context, group, member string, of []segments.Partition) *kerr.Error {
	_, err := o.ask(ctx, group, &shareQuestion{Ask: "release", Member: member, Partitions: askedPartitions(of)})
	return err
}
