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
	record     int // which of those that are written; only if err is nil
	err        *problem
	key, value *v3Size
}

type v3Size struct {
	Type string `json:"type"`
	Size int    `json:"size"`
}

// v3Answer says where a record is.
type v3Answer struct {
	ErrorCode int     `json:"error_code"` // 200
	Cluster   string  `json:"cluster_id"`
	Topic     string  `json:"topic_name"`
	Partition int32   `json:"partition_id"`
	Offset    int64   `json:"offset"`
	Timestamp string  `json:"timestamp"`
	Key       *v3Size `json:"key,omitempty"`
	Value     *v3Size `json:"value,omitempty"`
}

// produceV3 serves the path.
func (s confluent) produceV3(w http.ResponseWriter, r *http.Request) error {
	if err := s.takesWork(); err != nil {
		return err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	if err := s.thisCluster(r); err != nil {
		return err
	}
	request, err := s.newWriteRequest(r)
	if err != nil {
		return err
	}
	memory := s.requestShare(r)
	defer memory.giveBack()
	if r.ContentLength < 0 && key == "" && r.Header.Get("Content-Encoding") == "" {
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
	request.records, request.key, request.memory = d.records, key, memory
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

// read reads a record. One that is sound JSON, and nothing else, is refused alone.
func (p *v3Part) read(d *recordReader) error {
	if kind := d.dec.PeekKind(); kind != '{' && kind != 0 {
		return refuse(http.StatusBadRequest, "", "%v", errObjects) // nothing was read, so there is no going on
	}
	r := v3Record{record: len(d.records)}
	err := d.v3(&r)
	if refused, is := errors.AsType[*problem](err); is && refused.Status == http.StatusUnprocessableEntity {
		r.err, err = refused, nil
	}
	if err == nil {
		p.records = append(p.records, r)
	}
	return err
}

// appendV3 answers each record.
func (s confluent) appendV3(b []byte, topic string, part *v3Part, done *writtenRequest) []byte {
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
			_ = enc.Encode(newConfluentError(refused)) // a Buffer takes everything
			continue
		}
		at := &done.records[r.record]
		_ = enc.Encode(v3Answer{
			ErrorCode: http.StatusOK, Cluster: s.view().ClusterID(), Topic: topic, Partition: at.partition, Offset: at.offset,
			Timestamp: time.UnixMilli(at.timestamp).UTC().Format("2006-01-02T15:04:05.000Z"), Key: r.key, Value: r.value,
		})
	}
	return out.Bytes()
}

// v3 reads {"partition_id": …, "headers": [{"name", "value"}, …], "key": {"type", "data"}, "value":
// {"type", "data"}, "timestamp": …}. The whole of an object is read even if it is refused, so that
// the next one can be.
func (d *recordReader) v3(sizes *v3Record) error {
	r := ingest.Record{Partition: -1, Timestamp: -1}
	var refused error
	err := d.object("a record", func(name []byte) (err error) {
		v, err := d.value()
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
			r.Key, sizes.key, refused = field.v3Bytes("key")
		case "value":
			r.Value, sizes.value, refused = field.v3Bytes("value")
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

// thisCluster refuses requests for another cluster.
func (s confluent) thisCluster(r *http.Request) error {
	if id := r.PathValue("cluster"); id != s.view().ClusterID() {
		return refuse(http.StatusNotFound, "cluster", "this is cluster %s", s.view().ClusterID())
	}
	return nil
}

// v3Cluster is a cluster as v3 shows it.
type v3Cluster struct {
	Kind     string            `json:"kind"`
	Metadata map[string]string `json:"metadata"`
	Cluster  string            `json:"cluster_id"`
	Topics   map[string]string `json:"topics"`
}

func (s confluent) newV3Cluster(r *http.Request) v3Cluster {
	id := s.view().ClusterID()
	self := "http://" + r.Host + "/v3/clusters/" + id
	return v3Cluster{"KafkaCluster", map[string]string{"self": self, "resource_name": "crn:///kafka=" + id}, id,
		map[string]string{"related": self + "/topics"}}
}

// clusters serves GET /v3/clusters.
func (s confluent) clusters(w http.ResponseWriter, r *http.Request) error {
	answer(w, http.StatusOK, typeJSON, map[string]any{
		"kind": "KafkaClusterList", "metadata": map[string]any{"self": "http://" + r.Host + "/v3/clusters", "next": nil},
		"data": []v3Cluster{s.newV3Cluster(r)},
	})
	return nil
}

// cluster serves GET /v3/clusters/{cluster}.
func (s confluent) cluster(w http.ResponseWriter, r *http.Request) error {
	if err := s.thisCluster(r); err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, s.newV3Cluster(r))
	return nil
}
