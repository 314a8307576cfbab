package rest

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/segments"
)

// Bounds and defaults of claims.
const (
	defaultClaims   = 1
	maxClaims       = 100
	defaultClaimTTL = seconds(30 * time.Second)
)

// claimRequest asks for partitions.
type claimRequest struct {
	Holder     string          `json:"holder"`
	Topics     []string        `json:"topics"`     // any partitions of these,
	Partitions []partitionName `json:"partitions"` // or some of these
	Max        *int            `json:"max"`
	TTL        seconds         `json:"ttl"`
	// where to begin partitions of which nothing is committed: earliest (the default) or latest
	From string `json:"from"`
}

// partitionName is a partition as clients name it.
type partitionName struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

// claimed is a partition that somebody has claimed. Epochs are text: they are larger than the
// numbers of JavaScript can be.
type claimed struct {
	partitionName
	Holder  string  `json:"holder"`
	Epoch   string  `json:"epoch"`
	TTL     seconds `json:"ttl"`
	Offset  int64   `json:"offset"` // where to read on; in a list -1 where nothing is committed
	Problem any     `json:"problem,omitempty"`
	// With ?read the answer to the same question as GET …/records?offset=… has.
	Read json.RawMessage `json:"read,omitempty"`
}

type claimList struct {
	Claims []claimed `json:"claims"`
}

// claimed shows claims. Those of topics that are gone, or with which the client may
// not do something, are left out.
func (s *Server) claimed(r *http.Request, may access.Operation, claims []groups.Claim) []claimed {
	shown := []claimed{}
	for _, c := range claims {
		if t := s.view().TopicByID(c.Partition.Topic); t != nil && allows(r, may, access.Topic, t.Name) {
			shown = append(shown, claimed{partitionName: partitionName{t.Name, c.Partition.Index}, Holder: holderName(c.Holder),
				Epoch: strconv.FormatUint(c.Epoch, 10), TTL: seconds(c.TTL.Round(time.Millisecond)), Offset: c.Offset})
		}
	}
	return shown
}

// listClaims lists the claims of a group.
func (s *Server) listClaims(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	claims, err := s.claimsOf(r, memory)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, claimList{claims})
	return nil
}

// claimsOf is what is claimed of the group that a request is about, as far as the client may know.
func (s *Server) claimsOf(r *http.Request, memory *share) ([]claimed, error) {
	claims, refused := s.opts.Groups.Claims(r.Context(), r.PathValue("group"))
	if refused != nil {
		return nil, refused
	}
	if err := memory.grow(r.Context(), int64(len(claims))*claimBytes); err != nil {
		return nil, err
	}
	return s.claimed(r, access.Describe, claims), nil
}

// claim gives partitions to a holder, with their first records if it asks for them.
func (s *Server) claim(w http.ResponseWriter, r *http.Request, memory *share) error {
	q := queryOf(r, "read")
	readBytes := int(q.number("read", 0, 1, maxReadBytes))
	if q.err != nil {
		return q.err
	}
	asked := claimRequest{From: index.Earliest.String()}
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	request, err := s.claimRequest(r, &asked)
	if err != nil {
		return err
	}
	claims, refused := s.opts.Groups.Claim(r.Context(), r.PathValue("group"), request)
	if refused != nil {
		return refused
	}
	shown := s.claimed(r, access.Read, claims)
	from, _ := index.ParsePlace(asked.From) // which claimRequest has checked
	for i := range shown {
		if err := s.startOf(&shown[i], from); err != nil {
			return err
		}
	}
	if readBytes > 0 {
		defer s.readClaims(r.Context(), shown, readBytes)()
	}
	answerAs(w, http.StatusOK, typeJSON, claimList{shown}, jsontext.Multiline(false)) // with records in it, which are many
	return nil
}

// claimRequest checks what is asked for.
func (s *Server) claimRequest(r *http.Request, asked *claimRequest) (request groups.ClaimRequest, err error) {
	from, malformed := index.ParsePlace(asked.From)
	n := defaultClaims
	if asked.Max != nil {
		n = *asked.Max
	}
	asked.TTL = cmp.Or(asked.TTL, defaultClaimTTL)
	holder, err := s.holderOf(r, asked.Holder)
	switch {
	case err != nil:
		return request, err
	case n < 1 || n > maxClaims:
		return request, invalid("max", "is %d; it has to be from 1 to %d", n, maxClaims)
	case (len(asked.Topics) == 0) == (len(asked.Partitions) == 0):
		return request, invalid("topics", "or partitions have to be given, and not both")
	case malformed != nil || from != index.Earliest && from != index.Latest:
		return request, invalid("from", "is %q; it has to be earliest or latest", asked.From)
	}
	request = groups.ClaimRequest{Holder: holder, Max: n, TTL: time.Duration(asked.TTL)}
	for _, name := range asked.Topics {
		t, err := s.readableTopic(r, name)
		if err != nil {
			return request, err
		}
		request.Topics = append(request.Topics, t.ID)
	}
	for _, p := range asked.Partitions {
		at, err := s.readablePartition(r, p)
		if err != nil {
			return request, err
		}
		request.Partitions = append(request.Partitions, at)
	}
	return request, nil
}

// readableTopic finds a topic that a body names, if the client may read it.
func (s *Server) readableTopic(r *http.Request, name string) (*coordinator.Topic, error) {
	if err := s.may(r, access.Read, access.Topic, name); err != nil {
		return nil, err
	}
	return s.topicNamed(name)
}

// readablePartition finds a partition that a body names, if the client may read its topic.
func (s *Server) readablePartition(r *http.Request, p partitionName) (segments.Partition, error) {
	if err := s.may(r, access.Read, access.Topic, p.Topic); err != nil {
		return segments.Partition{}, err
	}
	return s.partitionNamed(p)
}

func (s *Server) partitionNamed(p partitionName) (segments.Partition, error) {
	t, err := s.topicNamed(p.Topic)
	if err != nil {
		return segments.Partition{}, err
	}
	if p.Partition < 0 || p.Partition >= t.Partitions {
		return segments.Partition{}, notFound(kerr.UnknownTopicOrPartition, "there is no partition %d of topic %q",
			p.Partition, p.Topic)
	}
	return segments.Partition{Topic: t.ID, Index: p.Partition}, nil
}

// startOf says where to read a claimed partition on: where the group is, but not before the log
// start, or where it wants to begin.
func (s *Server) startOf(c *claimed, from index.Place) error {
	at, err := s.partitionNamed(c.partitionName)
	if err != nil {
		return err
	}
	info, _ := s.view().Partition(at)
	switch {
	case c.Offset >= 0:
		c.Offset = max(c.Offset, info.LogStart)
	case from == index.Latest:
		c.Offset = info.HighWatermark
	default:
		c.Offset = info.LogStart
	}
	return nil
}

// maxClaimReads is how many claimed partitions are read at once.
const maxClaimReads = 16

// readClaims reads the first records of claimed partitions, side by side: together about as many
// bytes as are asked for. A partition that cannot be read has a problem instead of records: it is
// claimed all the same.
func (s *Server) readClaims(ctx context.Context, claims []claimed, size int) (release func()) {
	shares := make([]*share, len(claims))
	var reads errgroup.Group
	reads.SetLimit(maxClaimReads)
	for i := range claims {
		c := &claims[i]
		shares[i] = s.readShare(ctx)
		reads.Go(func() error {
			s.readClaim(ctx, c, max(1, size/len(claims)), shares[i])
			return nil
		})
	}
	_ = reads.Wait() // none fails
	return func() {
		for _, memory := range shares {
			memory.giveBack()
		}
	}
}

// readClaim reads the first records of a claimed partition, as text.
func (s *Server) readClaim(ctx context.Context, c *claimed, size int, memory *share) {
	read := &reading{offset: c.Offset, maxBytes: size, maxRecords: maxReadRecords}
	var err error
	if read.topic, err = s.topicNamed(c.Topic); err == nil {
		read.at = segments.Partition{Topic: read.topic.ID, Index: c.Partition}
		c.Read, err = s.readOnce(ctx, read, memory)
	}
	if err != nil {
		p := s.problemOf(s.outOfRange(read, err))
		p.Title = http.StatusText(p.Status)
		c.Problem = p
	}
}

// readOnce reads a partition without waiting, as text.
func (s *Server) readOnce(ctx context.Context, read *reading, memory *share) ([]byte, error) {
	chunk, err := s.poll(ctx, read, memory)
	if err != nil {
		return nil, err
	}
	text, err := s.textOf(ctx, read, chunk, memory)
	if err != nil {
		return nil, err
	}
	return text.whole(read, chunk), nil
}

// heldClaims names claims, and says what becomes of them.
type heldClaims struct {
	Holder string      `json:"holder"`
	TTL    seconds     `json:"ttl"`
	Claims []heldClaim `json:"claims"`
}

type heldClaim struct {
	partitionName
	Epoch    string `json:"epoch"`
	Offset   *int64 `json:"offset"`
	From     *int64 `json:"from"`
	Metadata string `json:"metadata"`
	Release  bool   `json:"release"`
}

// claimAnswer is what became of one claim.
type claimAnswer struct {
	partitionName
	Error string `json:"error,omitempty"` // Kafka's name of it
}

type claimAnswers struct {
	Claims []claimAnswer `json:"claims"`
}

// readHeld reads a request that names claims. In what it returns the holder is that of the caller.
func (s *Server) readHeld(w http.ResponseWriter, r *http.Request, memory *share) (
	asked heldClaims, held []groups.Held, err error) {
	if err := readJSON(w, r, &asked, memory); err != nil {
		return asked, nil, err
	}
	switch asked.Holder, err = s.holderOf(r, asked.Holder); {
	case err != nil:
		return asked, nil, err
	case len(asked.Claims) == 0:
		return asked, nil, invalid("claims", "are missing")
	}
	for _, c := range asked.Claims {
		epoch, err := strconv.ParseUint(c.Epoch, 10, 64)
		if err != nil {
			return asked, nil, invalid("claims.epoch", "is %q; it has to be what the claim had", c.Epoch)
		}
		at, err := s.readablePartition(r, c.partitionName)
		if err != nil {
			return asked, nil, err
		}
		held = append(held, groups.Held{Partition: at, Epoch: epoch})
	}
	return asked, held, nil
}

// renewClaims keeps claims for longer.
func (s *Server) renewClaims(w http.ResponseWriter, r *http.Request, memory *share) error {
	asked, held, err := s.readHeld(w, r, memory)
	if err != nil {
		return err
	}
	ttl := time.Duration(cmp.Or(asked.TTL, defaultClaimTTL))
	answers, refused := s.opts.Groups.RenewClaims(r.Context(), r.PathValue("group"), asked.Holder, held, ttl)
	return answerClaims(w, asked.Claims, answers, refused)
}

// releaseClaims gives claims up.
func (s *Server) releaseClaims(w http.ResponseWriter, r *http.Request, memory *share) error {
	asked, held, err := s.readHeld(w, r, memory)
	if err != nil {
		return err
	}
	answers, refused := s.opts.Groups.ReleaseClaims(r.Context(), r.PathValue("group"), asked.Holder, held)
	return answerClaims(w, asked.Claims, answers, refused)
}

// commitClaims stores offsets under claims.
func (s *Server) commitClaims(w http.ResponseWriter, r *http.Request, memory *share) error {
	asked, held, err := s.readHeld(w, r, memory)
	if err != nil {
		return err
	}
	commits := make([]groups.ClaimCommit, len(held))
	for i, c := range asked.Claims {
		if c.Offset == nil {
			return invalid("claims.offset", "is missing: that of the next record to read")
		}
		commits[i] = groups.ClaimCommit{Held: held[i], Offset: *c.Offset, LeaderEpoch: -1, From: c.From,
			Metadata: c.Metadata, Release: c.Release}
	}
	answers, refused := s.opts.Groups.CommitClaims(r.Context(), r.PathValue("group"), asked.Holder, commits)
	return answerClaims(w, asked.Claims, answers, refused)
}

// answerClaims answers for each claim. If one was refused the answer is that of the first refusal,
// 409 for a claim that has ended, and says for each what became of it: the others were done.
func answerClaims(w http.ResponseWriter, asked []heldClaim, answers []*kerr.Error, refused *kerr.Error) error {
	if refused != nil {
		return refused
	}
	list := claimAnswers{Claims: make([]claimAnswer, len(asked))}
	var first *kerr.Error
	for i, err := range answers {
		list.Claims[i].partitionName = asked[i].partitionName
		if err != nil {
			list.Claims[i].Error = err.Message
			first = cmp.Or(first, err)
		}
	}
	if first == nil {
		answer(w, http.StatusOK, typeJSON, list)
		return nil
	}
	p := kafkaProblem(first, "")
	switch first {
	case kerr.FencedMemberEpoch:
		p.Detail = "a claim has ended: another may have the partition, or the group has moved. Claim again, and begin " +
			"where the group is"
	case kerr.OffsetOutOfRange:
		p.Detail = "an offset lies beyond the end of its partition. Commit the offset of the next record to read: one " +
			"more than that of the last record read"
	}
	p.Claims = list.Claims
	return &p
}
