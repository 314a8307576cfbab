package rest

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/groups"
	"firn.dev/segments"
)

// acknowledgeRequest says what becomes of claimed records.
type acknowledgeRequest struct {
	Claim   string           `json:"claim"`
	TTL     seconds          `json:"ttl"` // of those that are renewed; 0: as long as they were claimed for
	Records []recordToSettle `json:"records"`
}

type recordToSettle struct {
	partitionName
	Offset *int64 `json:"offset"`
	Type   string `json:"type"` // accept, if it is empty
}

// recordAnswer is what became of an acknowledgement.
type recordAnswer struct {
	partitionName
	Offset int64  `json:"offset"`
	Error  string `json:"error,omitempty"` // Kafka's name of it
}

type recordAnswers struct {
	Records []recordAnswer `json:"records"`
}

// ackTypes are what may become of a record.
var ackTypes = map[string]groups.AckType{"": groups.AckAccept, "accept": groups.AckAccept, "release": groups.AckRelease,
	"reject": groups.AckReject, "renew": groups.AckRenew}

// acknowledgeRecords takes in what becomes of claimed records.
func (s *Server) acknowledgeRecords(w http.ResponseWriter, r *http.Request, memory *share) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	var asked acknowledgeRequest
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	group := r.PathValue("group")
	id, is := strings.CutPrefix(asked.Claim, recordClaimPrefix)
	switch err := checkRecordTTL(time.Duration(asked.TTL)); {
	case err != nil:
		return err
	case !is || len(id) != 32:
		return invalid("claim", "is %.60q; it has to be what the answer to the claim had", asked.Claim)
	case len(asked.Records) == 0:
		return invalid("records", "are missing")
	}
	said, of, err := s.settled(r, asked.Records, time.Duration(asked.TTL))
	if err != nil {
		return err
	}
	errs, refused := s.opts.Groups.AcknowledgeShares(r.Context(), group, ofCaller(r.Context(), asked.Claim), said)
	if refused != nil {
		return refused
	}
	return answerRecords(w, asked.Records, of, errs)
}

// settled is what a body says of records, by partition, and which partition each record is of.
func (s *Server) settled(r *http.Request, records []recordToSettle, ttl time.Duration) (said []groups.ShareAcks,
	of []int, _ error) {
	known := map[partitionName]int{}
	of = make([]int, len(records))
	for i, record := range records {
		kind, is := ackTypes[record.Type]
		switch {
		case !is:
			return nil, nil, invalid("records.type", "is %q; it has to be accept, release, reject or renew", record.Type)
		case record.Offset == nil:
			return nil, nil, invalid("records.offset", "is missing: that of a claimed record")
		case *record.Offset < 0:
			return nil, nil, invalid("records.offset", "is %d; it has to be that of a claimed record", *record.Offset)
		}
		n, named := known[record.partitionName]
		if !named {
			at, err := s.readablePartition(r, record.partitionName)
			if p, is := errors.AsType[*problem](err); is && p.Status == http.StatusNotFound {
				at = segments.Partition{} // of which the group says that there is none
			} else if err != nil {
				return nil, nil, err
			}
			n = len(said)
			known[record.partitionName] = n
			said = append(said, groups.ShareAcks{Partition: at})
		}
		of[i] = n
		said[n].Acks = append(said[n].Acks, groups.ShareAck{Types: []groups.AckType{kind}, Lock: ttl,
			LogRange: groups.LogRange{First: *record.Offset, Last: *record.Offset}})
	}
	for _, a := range said {
		slices.SortFunc(a.Acks, func(a, b groups.ShareAck) int { return cmp.Compare(a.First, b.First) })
		for i := range a.Acks[1:] {
			if a.Acks[i].First == a.Acks[i+1].First {
				return nil, nil, invalid("records", "have offset %d of a partition twice", a.Acks[i].First)
			}
		}
	}
	return said, of, nil
}

// answerRecords answers for each record. If some were refused the answer is that of the first
// refusal, and says for each record what became of it: those of other partitions were done.
func answerRecords(w http.ResponseWriter, asked []recordToSettle, of []int, errs []*kerr.Error) error {
	list := recordAnswers{Records: make([]recordAnswer, len(asked))}
	var first *kerr.Error
	for i, record := range asked {
		list.Records[i] = recordAnswer{partitionName: record.partitionName, Offset: *record.Offset}
		if err := errs[of[i]]; err != nil {
			list.Records[i].Error = err.Message
			first = cmp.Or(first, err)
		}
	}
	if first == nil {
		answer(w, http.StatusOK, typeJSON, list)
		return nil
	}
	p := kafkaProblem(first, "")
	if first == kerr.InvalidRecordState {
		p.Detail = "a record is not locked by this claim any more, and nothing of its partition was taken in: its time was " +
			"over, it was acknowledged before, or the group has moved. It may be delivered again, to another"
	}
	p.Records = list.Records
	return &p
}
