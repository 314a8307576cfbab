package rest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"firn.dev/ingest"
)

// What Confluent's REST Proxy serves to producers, for clients that were made for it: v2 here, v3
// in confluent_v3.go. Schemas are not served.

// Content types of v2. The two of bodies differ in what keys and values are: any JSON, kept as its
// text, or base64.
const (
	typeV2       = "application/vnd.kafka.v2+json"
	typeV2JSON   = "application/vnd.kafka.json.v2+json"
	typeV2Binary = "application/vnd.kafka.binary.v2+json"
)

// confluentError is how Confluent's clients get to know of errors.
type confluentError struct {
	ErrorCode int    `json:"error_code"`
	Message   string `json:"message"`
}

// newConfluentError says a problem in the words of v2. Its codes are statuses, or statuses with two
// digits more.
func newConfluentError(p *problem) confluentError {
	e := confluentError{p.Status, confluentMessage(p)}
	switch {
	case p.Status == http.StatusNotFound && p.Field == "partition":
		e.ErrorCode = 40402
	case p.Status == http.StatusNotFound:
		e.ErrorCode = 40401
	}
	return e
}

// confluentMessage is a problem as a text, which is all that Confluent's errors have beside a code:
// so it names the record, the field and the limit.
func confluentMessage(p *problem) string {
	message := p.Detail
	if p.Field != "" && !strings.Contains(message, p.Field) {
		message = p.Field + ": " + message
	}
	if p.Limit != "" && !strings.Contains(message, p.Limit) {
		message += " (" + p.Limit + ")"
	}
	if p.Record != nil {
		message = "record " + strconv.Itoa(*p.Record) + ": " + message
	}
	return message
}

// confluent is v2 of the API of Confluent's REST Proxy.
type confluent struct{ *Server }

func (s confluent) routes() []route {
	post := http.MethodPost
	return []route{
		{method: post, pattern: "/topics/{topic}", handler: s.produceV2, rules: writes(),
			summary: "write records, as Confluent's REST Proxy v2 does"},
		{method: post, pattern: "/topics/{topic}/partitions/{partition}", handler: s.produceV2, rules: writes(),
			summary: "write records to a partition, as Confluent's REST Proxy v2 does"},
	}
}

// fail answers with a problem as Confluent does.
func (confluent) fail(w http.ResponseWriter, p problem) {
	p.advise(w.Header())
	answerWhole(w, p.Status, typeJSON, newConfluentError(&p))
}

// produceV2 serves POST /topics/{topic} and POST /topics/{topic}/partitions/{partition}.
func (s confluent) produceV2(w http.ResponseWriter, r *http.Request) error {
	if err := s.takesWork(); err != nil {
		return err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != typeV2JSON && mediaType != typeV2Binary {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type", "records come as %s or %s; schemas are not served",
			typeV2JSON, typeV2Binary)
	}
	request, err := s.newWriteRequest(r)
	if err != nil {
		return err
	}
	partition, err := s.pathPartition(r, request)
	if err != nil {
		return err
	}
	memory := s.requestShare(r)
	defer memory.giveBack()
	body, err := s.readBody(r, memory)
	if err != nil {
		return err
	}
	d := s.newRecordReader(r, body, memory)
	if err := d.single(func() error { return d.v2(mediaType == typeV2Binary, partition) }); err != nil {
		return err
	}
	request.records, request.key, request.memory = d.records, key, memory
	done, err := s.write(r.Context(), request)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, typeV2, newV2Answer(done))
	return nil
}

// pathPartition is the partition that a path names; negative if it names none.
func (s confluent) pathPartition(r *http.Request, request *writeRequest) (int32, error) {
	text, topic := r.PathValue("partition"), request.topic
	if text == "" {
		return -1, nil
	}
	if topic == nil {
		topic = s.topics.Draft(request.name)
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || n >= int64(topic.Partitions) {
		return 0, refuse(http.StatusNotFound, "partition", "there is no partition %q of topic %q", text, topic.Name)
	}
	return int32(n), nil
}

// v2Answer says what became of each record.
type v2Answer struct {
	KeySchema   *int       `json:"key_schema_id"`
	ValueSchema *int       `json:"value_schema_id"`
	Offsets     []v2Offset `json:"offsets"`
}

type v2Offset struct {
	Partition int32   `json:"partition"`
	Offset    *int64  `json:"offset"`
	ErrorCode *int    `json:"error_code"` // 1: for good; 2: another try may succeed
	Error     *string `json:"error"`
}

func newV2Answer(done *writtenRequest) v2Answer {
	a := v2Answer{Offsets: make([]v2Offset, len(done.records))}
	for i := range done.records {
		r, at := &done.records[i], &a.Offsets[i]
		at.Partition = r.partition
		if r.err == nil {
			at.Offset = &r.offset
			continue
		}
		code := 1
		if r.err.Status >= http.StatusInternalServerError {
			code = 2
		}
		at.ErrorCode, at.Error = &code, &r.err.Detail
	}
	return a
}

// v2 reads {"records": [{"key": …, "value": …, "partition": …}, …]}. Other members are about
// schemas, and have no meaning without them.
func (d *recordReader) v2(binary bool, partition int32) error {
	seen := false
	err := d.object("the body", func(name []byte) error {
		if string(name) != "records" {
			_, err := d.value()
			return err
		}
		seen = true
		return d.array("records", func() error { return d.v2Record(binary, partition) })
	})
	if err == nil && !seen {
		err = refuse(http.StatusUnprocessableEntity, "records", "the body has no records")
	}
	return err
}

func (d *recordReader) v2Record(binary bool, partition int32) error {
	r := ingest.Record{Partition: partition, Timestamp: -1}
	err := d.object("a record", func(name []byte) (err error) {
		switch string(name) {
		case "key":
			r.Key, err = d.v2Bytes("key", binary)
		case "value":
			r.Value, err = d.v2Bytes("value", binary)
		case "partition":
			var own int32
			if own, err = d.partition(); own >= 0 {
				r.Partition = own
			}
		case "timestamp":
			r.Timestamp, err = d.timestamp()
		default:
			err = d.wrong(clip(name), "a record has no field %q: there are key, value, partition and timestamp", clip(name))
		}
		return err
	})
	if err != nil {
		return err
	}
	if partition >= 0 && r.Partition != partition {
		return d.wrong("partition", "the path says partition %d", partition)
	}
	return d.add(r)
}

// v2Bytes reads a key or a value: base64, or any JSON, which is kept as its text. Null is null in
// both.
func (d *recordReader) v2Bytes(field string, binary bool) ([]byte, error) {
	v, err := d.value()
	if err != nil || v.Kind() == 'n' {
		return nil, err
	}
	if binary {
		return d.base64(field, v)
	}
	return compact(v), nil
}
