package rest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/groups"
	"firn.dev/ingest"
)

// readTransaction reads and checks what a body asks for.
func (s *Server) readTransaction(r *http.Request, body []byte, memory *share, key string) (*transaction, error) {
	d := s.newRecordReader(r, body, memory)
	d.named = true
	t := &transaction{}
	err := d.object("the body", func(name []byte) error {
		switch string(name) {
		case "records":
			return d.array("records", d.record)
		case "offsets":
			v, err := d.value()
			if err != nil {
				return err
			}
			t.offsets, err = readOffsets(v)
			return err
		}
		return d.wrong(clip(name), "a transaction has no field %q: there are records and offsets", clip(name))
	})
	if err == nil {
		err = d.end()
	}
	if err == nil && len(d.records) == 0 {
		err = invalid("records", "are missing; offsets alone are committed with POST …/claims/commit")
	}
	if err == nil {
		err = s.readTopics(r, t, d, memory)
	}
	if err == nil && t.offsets != nil {
		err = s.readTransactionClaims(r, t)
	}
	if err != nil {
		return nil, err
	}
	t.identify(ofCaller(r.Context(), key))
	return t, nil
}

func readOffsets(v jsontext.Value) (*transactionOffsets, error) {
	if v.Kind() == 'n' {
		return nil, nil
	}
	o := &transactionOffsets{}
	d := json.NewDecoder(strings.NewReader(string(v)))
	d.DisallowUnknownFields()
	if err := d.Decode(o); err != nil {
		return nil, invalid("offsets", "are not what is wanted here: %v", err)
	}
	if o.Group == "" {
		return nil, invalid("offsets.group", "is missing")
	}
	return o, nil
}

// readTopics gives each topic its records.
func (s *Server) readTopics(r *http.Request, t *transaction, d *recordReader, memory *share) error {
	parts := map[string]*transactionPart{}
	now := time.Now()
	t.records = len(d.records)
	for i, name := range d.topics {
		p := parts[name]
		if p == nil {
			if len(parts) == coordinator.MaxTransactionPartitions {
				return tooManyPartitions()
			}
			if err := s.may(r, access.Write, access.Topic, name); err != nil {
				return err
			}
			topic, err := s.topicNamed(name)
			if err != nil {
				return err
			}
			p = &transactionPart{writeRequest: writeRequest{name: name, topic: topic, memory: memory, now: now,
				config: s.producers.configs.Of(topic)}}
			parts[name] = p
			t.parts = append(t.parts, p)
		}
		p.records, p.indexes = append(p.records, d.records[i]), append(p.indexes, i)
	}
	slices.SortFunc(t.parts, func(a, b *transactionPart) int { return strings.Compare(a.name, b.name) })
	return nil
}

func tooManyPartitions() *problem {
	p := refuse(http.StatusRequestEntityTooLarge, "records", "a transaction may write to %d partitions",
		coordinator.MaxTransactionPartitions)
	p.Limit = "MaxTransactionPartitions"
	return p
}

// readTransactionClaims checks what a transaction says of claims.
func (s *Server) readTransactionClaims(r *http.Request, t *transaction) (err error) {
	o := t.offsets
	if err := s.may(r, access.Read, access.Group, o.Group); err != nil {
		return err
	}
	if o.Holder, err = s.holderOf(r, o.Holder); err != nil {
		return err
	}
	switch {
	case len(o.Claims) == 0:
		return invalid("offsets.claims", "are missing")
	case len(o.Claims) > coordinator.MaxStagedOffsets:
		p := refuse(http.StatusRequestEntityTooLarge, "offsets.claims", "a transaction may commit offsets of %d partitions",
			coordinator.MaxStagedOffsets)
		p.Limit = "MaxStagedOffsets"
		return p
	case o.TTL != 0:
		return invalid("offsets.ttl", "is no field here")
	}
	size := len(o.Group)
	for _, c := range o.Claims {
		epoch, err := strconv.ParseUint(c.Epoch, 10, 64)
		switch {
		case err != nil:
			return invalid("offsets.claims.epoch", "is %q; it has to be what the claim had", c.Epoch)
		case c.Offset == nil:
			return invalid("offsets.claims.offset", "is missing: that of the next record to read")
		case c.From == nil:
			return invalid("offsets.claims.from", "is missing: where the claim said to begin, or the offset of the "+
				"transaction before under the same claim")
		}
		at, err := s.readablePartition(r, c.partitionName)
		if err != nil {
			return err
		}
		t.held = append(t.held, groups.Held{Partition: at, Epoch: epoch})
		size += len(c.Metadata)
	}
	if size > coordinator.MaxStagedBytes {
		p := refuse(http.StatusRequestEntityTooLarge, "offsets.claims", "the metadata of a transaction may have %d bytes",
			coordinator.MaxStagedBytes)
		p.Limit = "MaxStagedBytes"
		return p
	}
	return nil
}

// identify makes the key of the request: it is another than that of records that are written with
// the same key, and its body is all that is asked for but under which claims.
func (t *transaction) identify(key string) {
	h := sha256.New()
	number := func(n int64) { _, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) } // a Hash returns no error
	text := func(s string) {
		number(int64(len(s)))
		_, _ = h.Write([]byte(s))
	}
	number(int64(len(t.parts)))
	for _, p := range t.parts {
		text(p.name)
		body := ingest.NewRequestKey("", p.records).Body
		_, _ = h.Write(body[:])
		for _, i := range p.indexes {
			number(int64(i))
		}
	}
	if o := t.offsets; o != nil {
		text(o.Group)
		for _, c := range o.Claims {
			text(c.Topic)
			number(int64(c.Partition))
			number(*c.Offset)
			text(c.Metadata)
		}
	}
	id := sha256.Sum256([]byte("transaction\x00" + key))
	t.key = coordinator.RequestKey{ID: [16]byte(id[:16]), Body: [16]byte(h.Sum(nil)[:16])}
}
