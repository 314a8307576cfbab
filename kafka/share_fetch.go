package kafka

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/dynamicconfig"
	"firn.dev/groups"
	"firn.dev/segments"
	"firn.dev/segments/batch"
)

// ShareFetch, versions 1 and 2, as Kafka 4: a member of a share group acquires records of the
// partitions of its session, and says with the same request what has become of others.
//
//   - Any node takes it, as it takes a Fetch. It asks the group's owner from where there is
//     something to be had, reads that like a Fetch, and asks the owner for what it has read. So the
//     records do not pass through the owner, and two that read the same get different records.
//   - It waits for new records, and for those that others give back, up to max_wait_ms.
//   - Offsets without a record for the member (compacted records, markers, aborted transactions for
//     a group with share.isolation.level=read_committed) are finished as they are passed.
//   - ShareAcquireMode 1 (KIP-1206) gives MaxRecords at most, otherwise whole batches are given.
//   - A request with renewals (KIP-1222) fetches nothing.
func init() {
	register(1, 2, shareFetch, rules{
		needs: []access.Need{access.Read.On(access.Group), access.Read.On(access.Topic)}, quota: access.FetchedBytes})
}

// recordLimit is the ShareAcquireMode that gives no more records than were asked for.
const recordLimit = 1

// shareFetchCall is one ShareFetch on its way.
type shareFetchCall struct {
	*shareCall
	resp       *shareFetchResponse
	partitions []sharePartition // to fetch from

	maxBytes, minBytes int
	bounds             groups.AcquireBounds
	expires            time.Time
}

func shareFetch(ctx context.Context, s *Server, from *peer, req *kmsg.ShareFetchRequest) (kmsg.Response, error) {
	resp := newShareFetchResponse(req)
	call, refused := s.newShareCall(from, req.GroupID, req.MemberID)
	if refused == nil {
		resp.AcquisitionLockTimeoutMillis = int32(call.config.Lock.Milliseconds())
		refused = checkRenewal(req)
	}
	said := saidInFetch(req)
	if refused == nil && req.ShareSessionEpoch == shareSessionBegins && len(said) > 0 {
		refused = refuse(kerr.InvalidRequest, "the first request of a session acknowledges nothing")
	}
	if refused == nil {
		var err *kerr.Error
		if call.session, err = s.shares.take(from, call.key, req.ShareSessionEpoch, true); err != nil {
			refused = refuse(err, "%s", err.Description)
		}
	}
	if refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	f := &shareFetchCall{shareCall: call, resp: resp,
		maxBytes: s.fetchMost(from, min(max(int(req.MaxBytes), 1), s.opts.Limits.FetchMaxBytes)),
		bounds: groups.AcquireBounds{Most: int(req.MaxRecords), Exactly: req.ShareAcquireMode == recordLimit,
			Split: int(req.BatchSize)}}
	if f.bounds.Most <= 0 {
		f.bounds.Most = math.MaxInt32
	}
	f.minBytes = min(int(req.MinBytes), f.maxBytes)
	f.expires = time.Now().Add(min(time.Duration(req.MaxWaitMillis)*time.Millisecond, s.opts.Limits.IdleTimeout))
	for i, refused := range f.acknowledge(ctx, said, req.IsRenewAck) {
		f.resp.at(said[i].partition).acknowledged = refused
	}
	if req.ShareSessionEpoch == shareSessionEnds {
		f.release(ctx)
		return resp, nil
	}
	if refused := f.renewSession(req); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	if req.IsRenewAck {
		return resp, nil
	}
	if err := s.takeMemory(ctx, from.request, int64(len(f.partitions))*fetchPartitionBytes); err != nil {
		return nil, err
	}
	return resp, f.gather(ctx)
}

// checkRenewal refuses a request that renews and fetches.
func checkRenewal(req *kmsg.ShareFetchRequest) *refusal {
	if !req.IsRenewAck {
		return nil
	}
	refused := refuse(kerr.InvalidRequest, "a request with renewals fetches nothing")
	if req.MaxBytes != 0 || req.MinBytes != 0 || req.MaxRecords != 0 || req.MaxWaitMillis != 0 {
		return refused
	}
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			if len(req.Topics[i].Partitions[j].AcknowledgementBatches) == 0 {
				return refused
			}
		}
	}
	return nil
}

// saidInFetch are the acknowledgements of a ShareFetch.
func saidInFetch(req *kmsg.ShareFetchRequest) (said []saidAcks) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			if p := &t.Partitions[j]; len(p.AcknowledgementBatches) > 0 {
				said = append(said, saidAcks{segments.Partition{Topic: t.TopicID, Index: p.Partition}, p.AcknowledgementBatches})
			}
		}
	}
	return said
}

// renewSession takes in which partitions a request adds to the session, and which it forgets.
func (f *shareFetchCall) renewSession(req *kmsg.ShareFetchRequest) *refusal {
	var add []sharePartition
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			most := int(p.PartitionMaxBytes)
			if most <= 0 {
				most = math.MaxInt32
			}
			add = append(add, sharePartition{segments.Partition{Topic: t.TopicID, Index: p.Partition}, most})
		}
	}
	var forget []segments.Partition
	for i := range req.ForgottenTopicsData {
		t := &req.ForgottenTopicsData[i]
		for _, index := range t.Partitions {
			forget = append(forget, segments.Partition{Topic: t.TopicID, Index: index})
		}
	}
	all, err := f.s.shares.update(f.session, add, forget)
	if err != nil {
		return refuse(err, "%s", err.Description)
	}
	if n := len(all); n > 0 { // another partition is the first each time
		first := int(req.ShareSessionEpoch) % n
		all = slices.Concat(all[first:], all[:first])
	}
	f.partitions = all
	return nil
}

// Pauses of a ShareFetch that cannot be woken: while the group has no owner that this node can ask,
// while another node is the owner, of what others give back, and while others take what it reads.
const (
	shareOwnerPause = 200 * time.Millisecond
	shareAwayPause  = 500 * time.Millisecond
	shareRacePause  = 5 * time.Millisecond
)

// gather acquires what there is, or waits until there is something.
func (f *shareFetchCall) gather(ctx context.Context) error {
	var watched []segments.Partition
	f.partitions = slices.DeleteFunc(f.partitions, func(p sharePartition) bool {
		refused := f.mayRead(p.Partition)
		if refused != nil {
			f.resp.at(p.Partition).refused = refused
			return true
		}
		watched = append(watched, p.Partition)
		return false
	})
	if len(f.resp.partitions) > 0 { // the client waits for what is there
		f.expires = time.Now()
	}
	watch := f.s.opts.Node.View().Watch(watched...)
	defer watch.Close()
	f.s.catchUp(ctx)
	for {
		freed, pause, err := f.round(ctx)
		left := time.Until(f.expires)
		if err != nil || f.resp.recordBytes() > 0 || f.resp.refuses() || left <= 0 {
			return err
		}
		f.from.answer.Release()
		if pause == 0 || pause > left {
			pause = left
		}
		timer := time.NewTimer(pause)
		from := time.Now()
		select {
		case <-freed:
		case <-watch.C:
		case <-timer.C:
		case <-f.s.draining:
			f.expires = time.Now()
		case <-ctx.Done():
		}
		timer.Stop()
		f.from.work.waited += time.Since(from)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// round looks once at what is to be had, and acquires it. If that is nothing, freed tells when
// there may be something, and pause after what time to look again in any case; 0: not at all.
func (f *shareFetchCall) round(ctx context.Context) (freed <-chan struct{}, pause time.Duration, _ error) {
	owner := f.owner()
	partitions := make([]segments.Partition, len(f.partitions))
	for i := range f.partitions {
		partitions[i] = f.partitions[i].Partition
		if a := f.resp.partitions[partitions[i]]; a != nil {
			a.refused = nil // in the round before
		}
	}
	states, errs, freed, err := owner.Shares(ctx, f.key.group, partitions)
	if err != nil {
		return nil, shareOwnerPause, f.refuse(err)
	}
	if freed == nil {
		pause = shareAwayPause
	}
	var begin []groups.ShareBeginning
	read := f.newRead()
	for i := range states {
		at := partitions[i]
		switch info, exists := f.s.opts.Node.View().Partition(at); {
		case errs[i] != nil:
			f.resp.at(at).refused = refuse(errs[i], "%s", errs[i].Description)
		case !exists:
			f.resp.at(at).refused = noPartition(at.Index)
		case states[i].New:
			offset, refused := f.beginning(ctx, at, info)
			if refused != nil {
				f.resp.at(at).refused = refused
				continue
			}
			begin = append(begin, groups.ShareBeginning{Partition: at, Offset: offset})
		case !states[i].Full && states[i].Offset != f.config.End(info):
			f.addTo(read, f.partitions[i], states[i].Offset)
		}
	}
	if len(begin) > 0 {
		if err := owner.BeginShares(ctx, f.key.group, begin); err != nil {
			return freed, shareOwnerPause, f.refuse(err)
		}
		return f.round(ctx) // nothing is new now
	}
	if len(read.partitions) == 0 {
		return freed, pause, nil
	}
	if err := read.gather(ctx); err != nil {
		return freed, 0, err
	}
	some, enough := f.haveRead(read)
	if !enough {
		return freed, pause, nil
	}
	got, err := owner.AcquireShares(ctx, f.key.group, f.key.member, some, f.bounds)
	if err != nil {
		return nil, shareOwnerPause, f.refuse(err)
	}
	f.take(read, some, got)
	return freed, shareRacePause, nil
}

// refuse notes an error of the group, if it is one that the client has to know of.
func (f *shareFetchCall) refuse(err *kerr.Error) error {
	if err != nil && err != kerr.NotCoordinator && err != kerr.CoordinatorNotAvailable {
		f.resp.ErrorCode, f.resp.ErrorMessage = err.Code, &err.Description
	}
	return nil
}

// beginning is where the group is to begin a partition that it knows nothing of.
func (f *shareFetchCall) beginning(ctx context.Context, at segments.Partition, info coordinator.PartitionInfo) (int64,
	*refusal) {
	switch reset := f.config.OffsetReset; reset {
	case "earliest":
		return info.LogStart, nil
	case "latest":
		return info.HighWatermark, nil
	default:
		period, _, err := dynamicconfig.ResetPeriod(reset)
		if err != nil {
			return 0, refuse(kerr.UnknownServerError, "%s %v", dynamicconfig.ShareOffsetReset, err)
		}
		found, ok, err := f.s.opts.Index.ByTime(ctx, at, time.Now().Add(-period).UnixMilli())
		if err != nil {
			return 0, f.s.unsearchable(at, err)
		}
		if ok {
			return found.Offset, nil
		}
		return info.HighWatermark, nil
	}
}

// newRead returns a Fetch, without partitions, that does not wait for new records.
func (f *shareFetchCall) newRead() *fetchCall {
	now := time.Now()
	return &fetchCall{s: f.s, maxBytes: f.maxBytes, minBytes: 1, committed: f.config.ReadCommitted, began: now,
		expires: now, memory: f.from.answer, work: f.from.work}
}

func (f *shareFetchCall) addTo(read *fetchCall, wanted sharePartition, offset int64) {
	p := fetchPartition{Partition: wanted.Partition, offset: offset, maxBytes: wanted.maxBytes, closer: nowhereCloser}
	if f.from.wantsPlain() {
		if topic := f.s.opts.Node.View().TopicByID(wanted.Topic); topic != nil {
			p.maxPlain = int(f.s.configs.Of(topic).MaxMessageBytes)
		}
	}
	read.partitions = append(read.partitions, p)
}

// maxAcquired bounds the batches of a partition of which records are acquired at once.
const maxAcquired = 1000

// haveRead says what was read, and whether that is enough to acquire it. Partitions behind those
// with as many records as are asked for are left to the next request.
func (f *shareFetchCall) haveRead(read *fetchCall) (some []groups.ShareAcquire, enough bool) {
	bytes, records := 0, int64(0)
	for i := range read.partitions {
		if records >= int64(f.bounds.Most) {
			return some, true
		}
		p := &read.partitions[i]
		if p.refused != nil {
			if code := p.refused.kind; code != kerr.OffsetOutOfRange && code != kerr.NotLeaderForPartition {
				f.resp.at(p.Partition).refused = p.refused
			} // else the owner knows more than this node, or less: it passes
			continue
		}
		a := groups.ShareAcquire{Partition: p.Partition, From: p.offset, To: p.offset - 1}
	chunks:
		for _, some := range p.batches {
			for h, err := range batch.All(some) {
				if err != nil {
					break chunks
				}
				a.To = h.BaseOffset + int64(h.LastOffsetDelta)
				if f.config.ReadCommitted && coordinator.IsAborted(p.aborted, &h) || h.Attributes.Control() {
					continue
				}
				records += a.To - h.BaseOffset + 1
				if a.Batches = append(a.Batches, groups.LogRange{First: h.BaseOffset, Last: a.To}); len(a.Batches) == maxAcquired {
					break chunks
				}
			}
		}
		bytes += p.bytes
		if a.To >= a.From {
			some = append(some, a)
		}
	}
	return some, len(some) > 0 && (bytes >= f.minBytes || !time.Now().Before(f.expires) || read.limited())
}

// take makes what was acquired the answer.
func (f *shareFetchCall) take(read *fetchCall, asked []groups.ShareAcquire, got [][]groups.AcquiredRange) {
	ranges := make(map[segments.Partition][]groups.AcquiredRange, len(asked))
	for i := range asked {
		ranges[asked[i].Partition] = got[i]
	}
	total := 0
	for i := range read.partitions {
		p := &read.partitions[i]
		acquired := ranges[p.Partition]
		if len(acquired) == 0 {
			continue
		}
		a := f.resp.at(p.Partition)
		a.acquired = acquired
		a.batches = overlapping(p.batches, acquired)
		a.bytes = size(a.batches)
		total += a.bytes
	}
	read.memory.ShrinkTo(int64(total))
}

// overlapping returns those of some batches that have a record in one of some ranges, which are in
// order.
func overlapping(batches [][]byte, ranges []groups.AcquiredRange) (kept [][]byte) {
	for _, some := range batches {
		from, at := -1, 0
		for h, err := range batch.All(some) {
			if err != nil {
				break
			}
			last := h.BaseOffset + int64(h.LastOffsetDelta)
			for len(ranges) > 0 && ranges[0].Last < h.BaseOffset {
				ranges = ranges[1:]
			}
			within := len(ranges) > 0 && ranges[0].First <= last
			if within && from < 0 {
				from = at
			}
			if !within && from >= 0 {
				kept, from = append(kept, some[from:at:at]), -1
			}
			at += h.Size()
		}
		if from >= 0 {
			kept = append(kept, some[from:at:at])
		}
	}
	return kept
}
