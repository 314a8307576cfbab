package rest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	rands "math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/groups"
	"firn.dev/index"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// A function claims records of a share group one by one. Each claim has an id of its own, and its
// records are locked as a member's of that name would be; but nobody joins the group: a function
// that lives for one request could keep no membership, and a lock ends by itself. So functions and
// Kafka's members may work through one group side by side. A claim comes to the node that owns the
// group, which reads the records, decodes them, and only then acquires those that it has decoded:
// what is answered is all that is locked.

// Bounds of a claim of records.
const (
	defaultClaimedRecords = 1
	maxClaimedRecords     = 1000
	maxSharedPartitions   = 1000 // of the topics that a claim names
	maxClaimRounds        = 8    // in which a claim looks for as many records as it wants
)

// maxClaimLook is for how long a claim that has records may look for more: a tenth of their time,
// and not longer than this.
const maxClaimLook = time.Second

// recordClaimRequest asks for records.
type recordClaimRequest struct {
	Topics []string `json:"topics"`
	Max    *int     `json:"max"`
	TTL    seconds  `json:"ttl"`
	// where to begin partitions that the group has not begun: earliest or latest; empty: as
	// share.auto.offset.reset says
	From string `json:"from"`
}

// claimedRecord is a record that a claim has.
type claimedRecord struct {
	consumed
	Deliveries int16 `json:"deliveries"` // how often it was delivered, this time included
}

type claimedRecords struct {
	Claim   string          `json:"claim,omitempty"`
	TTL     seconds         `json:"ttl"`
	Records []claimedRecord `json:"records"`
	Skipped []skippedRecord `json:"skipped,omitempty"`
}

// skippedRecord is offsets of a topic that the group is done with, since nobody can read them.
type skippedRecord struct {
	Topic string `json:"topic"`
	unreadable
}

// recordClaim is one claim on its way.
type recordClaim struct {
	s      *Server
	r      *http.Request
	group  string
	member string // of the claim's locks
	config groups.ShareConfig
	topics []*coordinator.Topic
	from   string
	ttl    time.Duration
	most   int // records
	memory *share
	held   int64 // of memory, beside the answer

	maxBytes   int // of the records' keys, values and headers, and of what is read at once
	bytes      int
	until      time.Time // when it looks no further, if it has records: their locks run
	partitions []segments.Partition
	claimed    claimedRecords
}

// claimRecords gives a client records of a share group, for a time.
func (s *Server) claimRecords(w http.ResponseWriter, r *http.Request, memory *share) error {
	q := queryOf(r, "wait", "max_bytes")
	wait := q.duration("wait", maxWait)
	maxBytes := int(q.number("max_bytes", defaultReadBytes, 1, maxReadBytes))
	if q.err != nil {
		return q.err
	}
	var asked recordClaimRequest
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	c := &recordClaim{s: s, r: r, group: r.PathValue("group"), maxBytes: maxBytes, memory: memory,
		held: memory.hold.Held(), claimed: claimedRecords{Claim: newRecordClaim(), Records: []claimedRecord{}}}
	if err := c.take(&asked); err != nil {
		return err
	}
	lastFor(w, wait)
	if err := c.run(r.Context(), wait); err != nil {
		return err
	}
	if len(c.claimed.Records) == 0 {
		c.claimed.Claim = ""
	} else if r.Context().Err() != nil { // nobody would hear of them
		c.unclaim()
		return context.Cause(r.Context())
	}
	answerAs(w, http.StatusOK, typeJSON, c.claimed, jsontext.Multiline(false))
	return nil
}

// take checks what is asked for.
func (c *recordClaim) take(asked *recordClaimRequest) error {
	c.config = c.s.opts.Groups.ShareConfigOf(c.group)
	c.member = ofCaller(c.r.Context(), c.claimed.Claim)
	c.most = defaultClaimedRecords
	if asked.Max != nil {
		c.most = *asked.Max
	}
	c.from = cmp.Or(asked.From, c.config.OffsetReset)
	switch {
	case len(asked.Topics) == 0:
		return invalid("topics", "are missing")
	case c.most < 1 || c.most > maxClaimedRecords:
		return invalid("max", "is %d; it has to be from 1 to %d", c.most, maxClaimedRecords)
	case asked.From != "" && asked.From != "earliest" && asked.From != "latest":
		return invalid("from", "is %q; it has to be earliest or latest", asked.From)
	}
	c.ttl = time.Duration(asked.TTL)
	if err := checkRecordTTL(c.ttl); err != nil {
		return err
	}
	c.ttl = cmp.Or(c.ttl, c.config.Lock)
	c.claimed.TTL = seconds(c.ttl)
	for _, name := range asked.Topics {
		t, err := c.s.readableTopic(c.r, name)
		if err != nil {
			return err
		}
		if slices.Contains(c.topics, t) {
			continue
		}
		c.topics = append(c.topics, t)
		if len(c.partitions)+int(t.Partitions) > maxSharedPartitions {
			return invalid("topics", "have more than %d partitions, which is the most that one claim may look at",
				maxSharedPartitions)
		}
		for i := range t.Partitions {
			c.partitions = append(c.partitions, segments.Partition{Topic: t.ID, Index: i})
		}
	}
	first := rands.N(len(c.partitions)) // so that functions that ask at once do not all read the same
	c.partitions = slices.Concat(c.partitions[first:], c.partitions[:first])
	return nil
}

// checkRecordTTL refuses times that a client may not ask for. If it asks for none, what a group's
// config says may be longer.
func checkRecordTTL(asked time.Duration) error {
	if asked != 0 && (asked < groups.MinClaimTTL || asked > groups.MaxClaimTTL) {
		return invalid("ttl", "is %s; it has to be from %s to %s", asked, groups.MinClaimTTL, groups.MaxClaimTTL)
	}
	return nil
}

// recordClaimPrefix and 16 random bytes make the id of a claim: longer than the ids that Kafka's
// members may have, so that nobody acknowledges what is another's.
const recordClaimPrefix = "claim-"

func newRecordClaim() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // which does not fail
	return recordClaimPrefix + hex.EncodeToString(b[:])
}

// run claims what there is, or waits until there is something.
func (c *recordClaim) run(ctx context.Context, wait time.Duration) error {
	watch := c.s.view().Watch(c.partitions...)
	defer watch.Close()
	_ = c.s.catchUp(ctx) // a node that is cut off is not the owner for long
	freed, more, err := c.look(ctx)
	if err != nil || wait == 0 || c.done() {
		return err
	}
	leave, err := enter(c.s.readers.polls, "MaxLongPolls", "requests that wait for records")
	if err != nil {
		return err
	}
	defer leave()
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(c.s.readers.stopping, cancel)()
	for !c.done() {
		if !more {
			select {
			case <-freed:
			case <-watch.C:
			case <-waiting.Done():
			}
		}
		if waiting.Err() != nil {
			return nil // nothing came
		}
		if err := c.goesOn(); err != nil {
			return err
		}
		if freed, more, err = c.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// done says that there is something to answer.
func (c *recordClaim) done() bool { return len(c.claimed.Records)+len(c.claimed.Skipped) > 0 }

// goesOn says, after a wait, why the client may not have more.
func (c *recordClaim) goesOn() error {
	if err := c.s.goesOn(c.r, access.Read, access.Group, c.group); err != nil {
		return err
	}
	for _, t := range c.topics {
		if err := c.s.may(c.r, access.Read, access.Topic, t.Name); err != nil {
			return err
		}
	}
	return nil
}

// look claims what there is, until that is enough. If it is nothing, freed tells when there may be
// something, unless there is more to look at now. What was claimed before something failed is
// answered.
func (c *recordClaim) look(ctx context.Context) (freed <-chan struct{}, more bool, err error) {
	more = true
	for n := 0; n < maxClaimRounds && more && err == nil; n++ {
		if freed, more, err = c.round(ctx); ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	if c.done() {
		err = nil
	}
	return freed, more, err
}

// round looks once at each partition. It says whether another round may bring more.
func (c *recordClaim) round(ctx context.Context) (freed <-chan struct{}, more bool, _ error) {
	manager := c.s.opts.Groups
	states, errs, freed, refused := manager.Shares(ctx, c.group, c.partitions)
	if refused != nil && refused.Code != kerr.GroupIDNotFound.Code {
		return nil, false, refused
	}
	var begin []groups.ShareBeginning
	var failed error // of one partition: the others go on
	for i, at := range c.partitions {
		switch {
		case refused == nil && errs[i] != nil && errs[i] != kerr.UnknownTopicOrPartition: // which is deleted
			p := kafkaProblem(errs[i], fmt.Sprintf("partition %d of topic %q: %s", at.Index, c.topicOf(at), errs[i].Description))
			failed = cmp.Or[error](failed, &p)
		case refused != nil || states[i].New && errs[i] == nil:
			offset, err := c.beginning(ctx, at)
			if err != nil {
				return nil, false, err
			}
			begin = append(begin, groups.ShareBeginning{Partition: at, Offset: offset})
		}
	}
	if len(begin) > 0 {
		if refused := manager.OpenShares(ctx, c.group, begin); refused != nil {
			return nil, false, c.notShared(refused)
		}
		return nil, true, nil // nothing is new now
	}
	for i, at := range c.partitions {
		info, exists := c.s.view().Partition(at)
		if !exists || errs[i] != nil || states[i].Full || states[i].Offset >= c.config.End(info) {
			continue
		}
		if c.enough() {
			return freed, false, nil
		}
		some, err := c.window(ctx, at, states[i].Offset)
		if err != nil {
			return freed, false, err
		}
		more = more || some
	}
	return freed, more, failed
}

// topicOf is the name of a partition's topic.
func (c *recordClaim) topicOf(at segments.Partition) string {
	i := slices.IndexFunc(c.topics, func(t *coordinator.Topic) bool { return t.ID == at.Topic })
	return c.topics[i].Name
}

// enough says that there is no room for more, or no time.
func (c *recordClaim) enough() bool {
	return len(c.claimed.Records) == c.most || c.bytes >= c.maxBytes || len(c.claimed.Skipped) >= maxSkipped ||
		len(c.claimed.Records) > 0 && !time.Now().Before(c.until)
}

// notShared is why a group of another kind gives out no records.
func (c *recordClaim) notShared(refused *kerr.Error) error {
	if refused.Code != kerr.GroupIDNotFound.Code {
		return refused
	}
	p := kafkaProblem(kerr.InconsistentGroupProtocol, "the group is no share group: it has members or claims of "+
		"partitions, or has committed offsets. Choose another name, or delete the group")
	return &p
}

// beginning is where the group is to begin a partition.
func (c *recordClaim) beginning(ctx context.Context, at segments.Partition) (int64, error) {
	place := index.Earliest
	switch period, by, err := dynamicconfig.ResetPeriod(c.from); {
	case err != nil:
		return 0, err
	case by:
		place = index.AtTime(time.Now().Add(-period))
	case c.from == "latest":
		place = index.Latest
	}
	return c.s.offsetOf(ctx, at, place)
}

// window reads a partition from an offset on, and claims what it has read. It says whether the
// group is further then.
func (c *recordClaim) window(ctx context.Context, at segments.Partition, offset int64) (further bool, _ error) {
	topic := c.s.view().TopicByID(at.Topic)
	if topic == nil {
		return false, nil
	}
	reading := ctx
	if len(c.claimed.Records) > 0 {
		var cancel func()
		reading, cancel = context.WithDeadline(ctx, c.until)
		defer cancel()
	}
	found, skipped, to, err := c.read(reading, topic, at, offset)
	if errors.Is(err, index.ErrOffsetOutOfRange) {
		return false, nil // the log has lost its beginning meanwhile: the group learns of it
	}
	if err != nil || to == offset {
		return false, err
	}
	asked := groups.ShareAcquire{Partition: at, From: offset, To: to - 1}
	for i := range found {
		if n := len(asked.Batches); n > 0 && asked.Batches[n-1].Last+1 == found[i].Offset {
			asked.Batches[n-1].Last++
		} else {
			asked.Batches = append(asked.Batches, groups.LogRange{First: found[i].Offset, Last: found[i].Offset})
		}
	}
	got, next, refused := c.s.opts.Groups.ClaimShares(ctx, c.group, c.member, &asked,
		groups.AcquireBounds{Most: c.most - len(c.claimed.Records), Exactly: true, Lock: c.ttl})
	if refused != nil { // it may have been acquired, and nobody hears of it
		c.unclaim()
		return false, refused
	}
	if len(c.claimed.Records) == 0 {
		c.until = time.Now().Add(min(c.ttl/10, maxClaimLook))
	}
	for _, acquired := range got {
		for i := range found {
			if o := found[i].Offset; acquired.First <= o && o <= acquired.Last {
				c.bytes += found[i].size
				c.claimed.Records = append(c.claimed.Records, claimedRecord{found[i].consumed, acquired.Deliveries})
			}
		}
	}
	for _, u := range skipped {
		if u.To = min(u.To, next); u.From < u.To { // the group is done with it
			u.Partition = &at.Index
			c.claimed.Skipped = append(c.claimed.Skipped, skippedRecord{topic.Name, u})
		}
	}
	c.memory.shrink(c.held + c.kept())
	return len(got) > 0 || next > offset, nil
}

// kept is what the answer takes, about: its bytes twice, as they were stored and as text.
func (c *recordClaim) kept() int64 {
	return int64(2*c.bytes + len(c.claimed.Records)*claimedRecordBytes)
}

// foundRecord is a record that may be claimed.
type foundRecord struct {
	consumed
	size int
}

// read reads and decodes records of a partition: as many as the claim has room for, and one if it
// has none yet. Behind them is the offset to.
func (c *recordClaim) read(ctx context.Context, topic *coordinator.Topic, at segments.Partition, offset int64) (
	found []foundRecord, skipped []unreadable, to int64, _ error) {
	memory := c.s.readShare(ctx)
	defer memory.giveBack()
	most, err := memory.reserve(ctx, c.maxBytes)
	if err != nil {
		return nil, nil, offset, err
	}
	reading, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	chunk, err := c.s.opts.Index.ReadWithin(reading, at, offset, index.Bounds{MaxBytes: most, AtLeastOne: true,
		Committed: c.config.ReadCommitted,
		Reserve:   func(ctx context.Context, n int64) error { return memory.grow(ctx, 2*n) }})
	if err != nil {
		return nil, nil, offset, err
	}
	had, size := len(c.claimed.Records), 0
	take := func(r batch.Record) (bool, error) {
		f := foundRecord{newConsumed(r), recordSize(&r)}
		if had+len(found) == c.most || had+len(found) > 0 && c.bytes+size+f.size > c.maxBytes {
			return false, nil
		}
		f.Topic, f.Partition = topic.Name, &at.Index
		size += f.size
		found = append(found, f)
		return true, nil
	}
	skip := func(u unreadable) (more bool, _ error) {
		skipped, more = addSkipped(skipped, u, maxSkipped-len(c.claimed.Skipped))
		return more, nil
	}
	to, err = c.s.decode(ctx, &chunk, offset, taker{take, skip})
	if err == nil {
		err = c.memory.grow(ctx, int64(2*size+len(found)*claimedRecordBytes))
	}
	return found, skipped, to, err
}

// claimedRecordBytes is what a claimed record takes beside its bytes, about.
const claimedRecordBytes = 256

func recordSize(r *batch.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// unclaim gives back what was claimed, of which nobody hears.
func (c *recordClaim) unclaim() {
	c.claimed.Records, c.claimed.Skipped = nil, nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), catchUpTimeout)
	defer cancel()
	if err := c.s.opts.Groups.UnclaimShares(ctx, c.group, c.member); err != nil {
		c.s.opts.Logger.Debug("records of a claim that is not answered are given back when its time is over", "group",
			c.group, "error", err)
	}
}
