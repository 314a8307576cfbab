package rest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"firn.dev/access"
	"firn.dev/ingest"
	"firn.dev/segments/batch"
)

// producerAPI is an API that producers write with. Each has its paths, and its form of an error.
type producerAPI interface {
	routes() []route
	fail(w http.ResponseWriter, p problem)
}

// producing is for producers.
func (s *Server) producing() (routes []route) {
	if s.opts.Writer == nil {
		return nil
	}
	for _, api := range []producerAPI{native{s}, confluent{s}, confluentV3{s}} {
		routes = append(routes, within(func(h handler) handler { return s.counted(h, api.fail) }, api.routes())...)
	}
	return routes
}

// writes are the rules of requests that write records.
func writes() rules {
	return needs(access.ProducedBytes, access.Write.On(access.Topic)).
		asking(access.Create.On(access.Cluster), access.Create.On(access.Topic)) // of topics that are not there
}

// native is Firn's own API.
type native struct{ *Server }

func (s native) routes() []route {
	routes := []route{{method: http.MethodPost, pattern: "/v1/topics/{topic}/records", handler: s.produce, rules: writes(),
		summary: "write records; the answer says where they are, once they are durable"}}
	if s.opts.Index != nil && s.opts.Groups != nil {
		routes = append(routes, route{method: http.MethodPost, pattern: "/v1/transactions", handler: s.transact,
			summary: "write records of several topics, and commit the offsets that they follow from, all or nothing",
			rules: needs(access.ProducedBytes).asking(access.Write.On(access.Topic), access.Read.On(access.Group),
				access.Read.On(access.Topic))})
	}
	return routes
}

func (native) fail(w http.ResponseWriter, p problem) { fail(w, p) }

// Content types of bodies. All others are refused, except in the binary mode of CloudEvents.
const (
	typeJSON        = "application/json"
	typeNDJSON      = "application/x-ndjson"
	typeBytes       = "application/octet-stream"
	typeEvent       = "application/cloudevents+json"
	typeEvents      = "application/cloudevents-batch+json"
	supportedBodies = typeJSON + " (an array of records, or one), " + typeNDJSON + ", " + typeBytes +
		" and text/* (one record), " + typeEvent + ", " + typeEvents
)

// produce takes records and answers with partition, offset and timestamp of each, once they are
// durable. The records of one request that go to one partition are one batch: all of them are
// written, next to each other, or none.
func (s *Server) produce(w http.ResponseWriter, r *http.Request) error {
	if err := s.takesWork(); err != nil {
		return err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	memory := s.requestShare(r)
	defer memory.giveBack()
	records, err := s.decodeRecords(r, memory)
	if err != nil {
		return err
	}
	request, err := s.newWriteRequest(r)
	if err != nil {
		return err
	}
	request.records, request.key, request.memory = records, key, memory
	done, err := s.write(r.Context(), request)
	if err != nil {
		return err
	}
	if err := done.failed(); err != nil {
		return err
	}
	if done.replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(appendWritten(nil, request.name, done.records)) // an error means that the client has gone
	return nil
}

// takesWork refuses new work while this node is stopping.
func (s *Server) takesWork() error {
	if s.draining.Load() {
		p := retryable(*refuse(http.StatusServiceUnavailable, "", "this node is stopping; nothing was written"))
		return &p
	}
	return nil
}

// appendWritten is the answer of produce.
func appendWritten(b []byte, topic string, records []written) []byte {
	b = append(b, `{"topic":`...)
	b = strconv.AppendQuote(b, topic) // names of topics have nothing in them that JSON would quote in another way
	b = append(b, `,"records":[`...)
	for i := range records {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"partition":`...)
		b = strconv.AppendInt(b, int64(records[i].partition), 10)
		b = append(b, `,"offset":`...)
		b = strconv.AppendInt(b, records[i].offset, 10)
		b = append(b, `,"timestamp":`...)
		b = strconv.AppendInt(b, records[i].timestamp, 10)
		b = append(b, '}')
	}
	return append(b, "]}\n"...)
}

// decodeRecords reads the records that a request brings. Their bytes may be slices of its body.
func (s *Server) decodeRecords(r *http.Request, memory *share) ([]ingest.Record, error) {
	given := r.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(given)
	if err != nil && given != "" {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Type", "Content-Type %q is malformed: %v",
			clip([]byte(given)), err)
	}
	structured := mediaType == typeEvent || mediaType == typeEvents
	one := isBinaryEvent(r.Header) && !structured
	switch {
	case one, structured, mediaType == typeJSON, isNDJSON(mediaType), mediaType == typeBytes, mediaType == "",
		strings.HasPrefix(mediaType, "text/"):
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Type", "records come as %s; not as %s", supportedBodies,
			clip([]byte(mediaType)))
	}
	raw := !one && !structured && mediaType != typeJSON && !isNDJSON(mediaType)
	p, err := recordParameters(r, raw)
	if err != nil {
		return nil, err
	}
	body, err := s.readBody(r, memory)
	if err != nil {
		return nil, err
	}
	d := s.newRecordReader(r, body, memory)
	switch {
	case raw:
		p.Value = body
		return []ingest.Record{p}, nil
	case one:
		return binaryEvent(r.Header, body)
	case mediaType == typeEvent:
		err = d.single(d.event)
	case mediaType == typeEvents:
		err = d.whole(d.event)
	case mediaType == typeJSON:
		err = d.whole(d.record)
	default:
		err = d.lines(d.record)
	}
	return d.records, err
}

// isNDJSON knows the names that newline-delimited JSON goes by.
func isNDJSON(mediaType string) bool {
	switch mediaType {
	case typeNDJSON, "application/ndjson", "application/jsonl", "application/jsonlines":
		return true
	}
	return false
}

// Header fields that say of a raw record what its body does not. headerPrefix is followed by the
// name of a record header, in lower case.
const (
	keyField       = "Firn-Key"
	partitionField = "Firn-Partition"
	timestampField = "Firn-Timestamp"
	headerPrefix   = "Firn-Header-"
)

// recordParameters reads what the query and header fields say of a raw record. Other bodies say it
// themselves, and take no parameters.
func recordParameters(r *http.Request, raw bool) (ingest.Record, error) {
	record := ingest.Record{Partition: -1, Timestamp: -1}
	if !raw {
		return record, queryOf(r).err
	}
	q := queryOf(r, "key", "partition", "timestamp")
	if q.err != nil {
		return record, q.err
	}
	parameter := func(name, field string) (value, from string, given bool) {
		if q.values.Has(name) {
			return q.values.Get(name), name, true
		}
		values := r.Header.Values(field)
		if len(values) == 0 {
			return "", "", false
		}
		return values[0], field, true
	}
	if key, _, given := parameter("key", keyField); given {
		record.Key = []byte(key)
	}
	if text, from, given := parameter("partition", partitionField); given {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return record, refuse(http.StatusUnprocessableEntity, from, "%s has to be a number from 0 on, not %q", from,
				clip([]byte(text)))
		}
		record.Partition = int32(n)
	}
	if text, from, given := parameter("timestamp", timestampField); given {
		var err error
		if record.Timestamp, err = parseTimestamp(text); err != nil {
			return record, refuse(http.StatusUnprocessableEntity, from, "%s %q is %v", from, clip([]byte(text)), err)
		}
	}
	record.Headers = recordHeaders(r.Header)
	return record, nil
}

// recordHeaders are the record headers that header fields give, ordered by name.
func recordHeaders(h http.Header) []batch.RecordHeader {
	var headers []batch.RecordHeader
	for _, name := range sortedNames(h, headerPrefix) {
		for _, v := range h[name] {
			headers = append(headers, batch.RecordHeader{Key: strings.ToLower(name[len(headerPrefix):]), Value: []byte(v)})
		}
	}
	return headers
}
