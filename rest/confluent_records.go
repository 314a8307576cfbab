package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firn.dev/ingest"
	"firn.dev/segments/batch"
)

// POST /v3/clusters/{cluster}/topics/{topic}/records of Confluent's REST Proxy v3: records as JSON
// objects, one after the other, and an answer for each, in the same order. A body of unknown length
// is a stream (confluent_stream.go): its records are answered while more come. A single record that
// is refused is also the status of the whole.

// v3Record is a record of a request, and what its answer says of it.
type v3Record struct {
	id         string // of an entry of a batch
	record     int    // which of those that are written; only if err is nil
	err        *problem
	key, value *v3Size
}

type v3Size struct {
	Type string `json:"type"`
	Size int    `json:"size"`
}

// v3Answer is what becomes of a record that is written.
type v3Answer struct {
	ErrorCode int `json:"error_code"` // 200
	v3Location
}

// v3Location says where a record is.
type v3Location struct {
	Cluster   string  `json:"cluster_id"`
	Topic     string  `json:"topic_name"`
	Partition int32   `json:"partition_id"`
	Offset    int64   `json:"offset"`
	Timestamp string  `json:"timestamp"`
	Key       *v3Size `json:"key,omitempty"`
	Value     *v3Size `json:"value,omitempty"`
}

// begin checks what is known of a request to write before its body is read.
func (s confluentV3) begin(r *http.Request) (*writeRequest, error) {
	if err := s.takesWork(); err != nil {
		return nil, err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return nil, err
	}
	request, err := s.newWriteRequest(r)
	if err != nil {
		return nil, err
	}
	request.key = key
	return request, nil
}

// produceV3 serves the path.
func (s confluentV3) produceV3(w http.ResponseWriter, r *http.Request) error {
	request, err := s.begin(r)
	if err != nil {
		return err
	}
	memory := s.requestShare(r)
	defer memory.giveBack()
	if r.ContentLength < 0 && request.key == "" && r.Header.Get("Content-Encoding") == "" {
		return s.streamV3(w, r, request, memory)
	}
	body, err := s.readBody(r, memory)
	if err != nil {
		return err
	}
	d := s.newRecordReader(r, body, memory)
	part := v3Part{}
	if err := d.lines(func() error { return part.read(d) }); err != nil {
		return err
	}
	if len(part.records) == 1 && part.records[0].err != nil {
		return part.records[0].err
	}
	request.records, request.memory = d.records, memory
	done, err := s.write(r.Context(), request)
	if err != nil {
		return err
	}
	if len(part.records) == 1 && done.records[0].err != nil {
		return done.records[0].err
	}
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(s.appendV3(nil, request.name, &part, done)) // an error means that the client has gone
	return nil
}

// v3Part is some of the records of a request.
type v3Part struct {
	records []v3Record
}

// read reads a record. One that is valid JSON, and nothing else, is refused alone.
func (p *v3Part) read(d *recordReader) error {
	if kind := d.dec.PeekKind(); kind != '{' && kind != 0 {
		return refuse(http.StatusBadRequest, "", "%v", errObjects) // nothing was read, so there is no going on
	}
	if len(p.records) == d.most {
		return d.tooMany()
	}
	r := v3Record{record: len(d.records)}
	err := d.v3(&r)
	if refused, is := errors.AsType[*problem](err); is && refused.Status == http.StatusUnprocessableEntity {
		r.err, err = refused, d.hold(recordOverhead)
	}
	if err == nil {
		p.records = append(p.records, r)
	}
	return err
}

// appendV3 answers each record.
func (s confluentV3) appendV3(b []byte, topic string, part *v3Part, done *writtenRequest) []byte {
	out := bytes.NewBuffer(b)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range part.records {
		r := &part.records[i]
		refused := r.err
		if refused == nil {
			refused = done.records[r.record].err
		}
		if refused != nil {
			_, e := newV3Error(refused)
			_ = enc.Encode(e) // a Buffer takes everything
			continue
		}
		_ = enc.Encode(v3Answer{http.StatusOK, s.locationOf(topic, r, &done.records[r.record])})
	}
	return out.Bytes()
}

// locationOf says where a record is.
func (s confluentV3) locationOf(topic string, r *v3Record, at *written) v3Location {
	return v3Location{Cluster: s.view().ClusterID(), Topic: topic, Partition: at.partition, Offset: at.offset,
		Timestamp: time.UnixMilli(at.timestamp).UTC().Format("2006-01-02T15:04:05.000Z"), Key: r.key, Value: r.value}
}

// refuseEach keeps those of a part's records that the topic of a request takes, and refuses the
// others one by one.
func (w *writeRequest) refuseEach(part *v3Part, records []ingest.Record) {
	for i := range part.records {
		r := &part.records[i]
		if r.err != nil {
			continue
		}
		if r.err = w.checkRecord(&records[r.record]); r.err == nil {
			w.records = append(w.records, records[r.record])
			r.record = len(w.records) - 1
		}
	}
}

// v3 reads {"partition_id": …, "headers": [{"name", "value"}, …], "key": {"type", "data"}, "value":
// {"type", "data"}, "timestamp": …}. The whole of an object is read even if it is refused, so that
// the next one can be.
func (d *recordReader) v3(to *v3Record) error {
	r := ingest.Record{Partition: -1, Timestamp: -1}
	var refused error
	err := d.object("a record", func(name []byte) (err error) {
		v, err := d.value()
		if err == nil && string(name) == "id" && v.Kind() == '"' {
			to.id = string(unquote(v))
		}
		if err != nil || refused != nil {
			return err
		}
		field := d.sub(v)
		switch string(name) {
		case "partition_id":
			r.Partition, refused = field.partition()
		case "timestamp":
			r.Timestamp, refused = field.timestamp()
		case "headers":
			r.Headers, refused = field.v3Headers()
		case "key":
			r.Key, to.key, refused = field.v3Bytes("key")
		case "value":
			r.Value, to.value, refused = field.v3Bytes("value")
		}
		d.owed += field.owed
		return nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return err
	}
	return d.add(r)
}

// sub reads a value that was read before.
func (d *recordReader) sub(v jsontext.Value) *recordReader {
	return &recordReader{
		body: v, dec: jsontext.NewDecoder(bytes.NewBuffer(v), jsontext.AllowDuplicateNames(true)),
		records: d.records, reserve: func(int64) error { return nil },
	}
}

// v3Bytes reads {"type": "BINARY" | "STRING" | "JSON", "data": …}, or null.
func (d *recordReader) v3Bytes(field string) (b []byte, size *v3Size, err error) {
	if d.dec.PeekKind() == 'n' {
		return nil, nil, nil
	}
	kind := "BINARY"
	var data jsontext.Value
	err = d.object(field, func(name []byte) error {
		v, err := d.value()
		switch string(name) {
		case "type":
			if kind = ""; v.Kind() == '"' {
				kind = string(unquote(v))
			}
		case "data":
			data = v
		}
		return err
	})
	switch {
	case err != nil:
	case data == nil || data.Kind() == 'n':
	case kind == "BINARY":
		b, err = d.base64(field, data)
	case kind == "STRING" && data.Kind() == '"':
		b = unquote(data)
	case kind == "STRING":
		err = d.wrong(field, "%s: data of type STRING has to be a string", field)
	case kind == "JSON":
		b = compact(data)
	default:
		err = d.wrong(field, "%s: type %q is not served: there are BINARY, STRING and JSON", field, clip([]byte(kind)))
	}
	if b == nil {
		return nil, nil, err
	}
	return b, &v3Size{kind, len(b)}, err
}

// v3Headers reads [{"name": "…", "value": base64}, …].
func (d *recordReader) v3Headers() (headers []batch.RecordHeader, err error) {
	if d.dec.PeekKind() == 'n' {
		return nil, nil
	}
	err = d.array("headers", func() error {
		named := false
		var header batch.RecordHeader
		err := d.object("a header", func(name []byte) error {
			v, err := d.value()
			if err != nil {
				return err
			}
			switch {
			case string(name) == "name" && v.Kind() == '"':
				header.Key, named = string(unquote(v)), true
			case string(name) == "value" && v.Kind() != 'n':
				header.Value, err = d.base64("headers", v)
			}
			return err
		})
		if err == nil && !named {
			err = d.wrong("headers", "a header needs a name")
		}
		headers = append(headers, header)
		d.owed += headerOverhead
		return err
	})
	return headers, err
}
