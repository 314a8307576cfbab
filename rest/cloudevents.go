package rest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firn.dev/ingest"
	"firn.dev/segments/batch"
)

// CloudEvents 1.0, in the three modes of its HTTP binding: binary (attributes in header fields, the
// body is the data), structured (one JSON object) and batched (an array of them). In whichever mode
// an event comes, it is kept in the binary mode of the Kafka binding: its attributes are record
// headers with ce_ before their names, its data is the record's value, and the type of the data is
// the header content-type. The extension partitionkey is the record's key.

// event is an event's attributes, without its data.
type event struct {
	attributes  map[string]string
	contentType string // of the data; empty if not given
}

// binaryPrefix begins the header fields that are attributes.
const binaryPrefix = "Ce-"

// isBinaryEvent says whether a request is an event in binary mode.
func isBinaryEvent(h http.Header) bool { return len(h[binaryPrefix+"Specversion"]) > 0 }

// binaryEvent reads an event in binary mode.
func binaryEvent(h http.Header, body []byte) ([]ingest.Record, error) {
	e := event{attributes: map[string]string{}, contentType: h.Get("Content-Type")}
	for _, field := range sortedNames(h, binaryPrefix) {
		name := strings.ToLower(field[len(binaryPrefix):])
		if len(h[field]) > 1 {
			return nil, refuse(http.StatusUnprocessableEntity, field, "%s is there %d times", field, len(h[field]))
		}
		value, err := url.PathUnescape(strings.Trim(h[field][0], `"`))
		if err != nil {
			return nil, refuse(http.StatusUnprocessableEntity, field, "%s is not percent-encoded as CloudEvents has it: %v",
				field, err)
		}
		e.attributes[name] = value
	}
	r, field, wrong := e.record(body)
	if wrong != "" {
		return nil, refuse(http.StatusUnprocessableEntity, "ce-"+field, "%s", wrong)
	}
	if len(body) == 0 && e.contentType == "" {
		r.Value = nil
	}
	return []ingest.Record{r}, nil
}

// event reads an event in structured mode.
func (d *recordReader) event() error {
	e := event{attributes: map[string]string{}}
	var data, encoded jsontext.Value
	err := d.object("an event", func(member []byte) error {
		name := string(member)
		v, err := d.value()
		if err != nil {
			return err
		}
		if _, twice := e.attributes[name]; twice || name == "data" && data != nil || name == "data_base64" && encoded != nil {
			return d.wrong(clip(member), "%s is there twice", clip(member))
		}
		switch {
		case name == "data":
			data = v
		case v.Kind() == 'n': // as if it were not there
		case name == "data_base64":
			encoded = v
		case v.Kind() == '"':
			e.attributes[name] = string(unquote(v))
		case v.Kind() == '{', v.Kind() == '[':
			return d.wrong(clip(member), "attribute %s has to be a string, a number or a boolean", clip(member))
		default:
			e.attributes[name] = string(v)
		}
		return d.hold(headerOverhead)
	})
	if err != nil {
		return err
	}
	e.contentType = e.attributes["datacontenttype"]
	delete(e.attributes, "datacontenttype")
	value, err := d.eventData(&e, data, encoded)
	if err != nil {
		return err
	}
	r, field, wrong := e.record(value)
	if wrong != "" {
		return d.wrong(field, "%s", wrong)
	}
	return d.add(r)
}

// eventData is an event's data: what data_base64 encodes, or the text of data. A string is what it
// says if the data is something other than JSON, and a JSON string otherwise. An event without data
// has none.
func (d *recordReader) eventData(e *event, data, encoded jsontext.Value) ([]byte, error) {
	switch {
	case data != nil && encoded != nil:
		return nil, d.wrong("data", "an event has data or data_base64, not both")
	case encoded != nil:
		return d.base64("data_base64", encoded)
	case data == nil, data.Kind() == 'n':
		return nil, nil
	}
	if e.contentType == "" {
		e.contentType = typeJSON
	}
	if data.Kind() == '"' && !isJSON(e.contentType) {
		return unquote(data), nil
	}
	return compact(data), nil
}

// isJSON says whether data of that type is JSON.
func isJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	return strings.HasSuffix(mediaType, "/json") || strings.HasSuffix(mediaType, "+json")
}

// record makes an event's record, or says which attribute is wrong, and how.
func (e *event) record(data []byte) (r ingest.Record, field, wrong string) {
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if e.attributes[name] == "" {
			return r, name, "an event needs the attribute " + name
		}
	}
	if v := e.attributes["specversion"]; v != "1.0" {
		return r, "specversion", "events of version 1.0 are taken, not of " + clip([]byte(v))
	}
	if at, given := e.attributes["time"]; given {
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			return r, "time", "time has to be an RFC 3339 time, not " + clip([]byte(at))
		}
	}
	r = ingest.Record{Partition: -1, Timestamp: -1, Value: data}
	if key, given := e.attributes["partitionkey"]; given {
		r.Key = []byte(key)
	}
	if e.contentType != "" {
		r.Headers = append(r.Headers, batch.RecordHeader{Key: "content-type", Value: []byte(e.contentType)})
	}
	for _, name := range slices.Sorted(maps.Keys(e.attributes)) {
		if name == "" || strings.ContainsFunc(name, notInAttributeName) {
			return r, name, "attribute names are of a-z and 0-9: " + clip([]byte(name))
		}
		r.Headers = append(r.Headers, batch.RecordHeader{Key: "ce_" + name, Value: []byte(e.attributes[name])})
	}
	return r, "", ""
}

func notInAttributeName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9')
}

// sortedNames returns the names of header fields with a prefix and more, in order.
func sortedNames(h http.Header, prefix string) []string {
	var names []string
	for name := range h {
		if len(name) > len(prefix) && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
