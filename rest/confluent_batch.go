package rest

import (
	"net/http"
	"time"
)

// POST /v3/clusters/{cluster}/topics/{topic}/records:batch of Confluent's REST Proxy v3: entries,
// which are records with an id each, and an answer that says what became of every entry. One that
// is refused does not keep the others from being written.

// v3BatchAnswer says what became of each entry, in the order of the request.
type v3BatchAnswer struct {
	Successes []v3Success `json:"successes"`
	Failures  []v3Failure `json:"failures"`
}

type v3Success struct {
	ID string `json:"id"`
	v3Location
}

type v3Failure struct {
	ID string `json:"id"`
	confluentError
}

// produceBatch serves the path.
func (s confluentV3) produceBatch(w http.ResponseWriter, r *http.Request) error {
	request, err := s.begin(r)
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
	part := v3Part{}
	if err := d.single(func() error { return d.v3Batch(&part) }); err != nil {
		return err
	}
	// which are taken is known before the topic is created
	taken := &writeRequest{name: request.name, topic: request.topic, now: time.Now()}
	if taken.topic == nil {
		taken.topic = s.topics.Draft(request.name)
	}
	taken.config = s.producers.configs.Of(taken.topic)
	taken.refuseEach(&part, d.records)
	request.records, request.memory = taken.records, memory
	done, err := s.write(r.Context(), request)
	if err != nil {
		return err
	}
	answer(w, http.StatusMultiStatus, typeJSON, s.newBatchAnswer(request.name, &part, done))
	return nil
}

func (s confluentV3) newBatchAnswer(topic string, part *v3Part, done *writtenRequest) v3BatchAnswer {
	a := v3BatchAnswer{[]v3Success{}, []v3Failure{}}
	for i := range part.records {
		r := &part.records[i]
		refused := r.err
		if refused == nil {
			refused = done.records[r.record].err
		}
		if refused == nil {
			a.Successes = append(a.Successes, v3Success{r.id, s.locationOf(topic, r, &done.records[r.record])})
			continue
		}
		p := *refused
		p.Record = nil // the id says which it is
		_, e := newV3Error(&p)
		a.Failures = append(a.Failures, v3Failure{r.id, e})
	}
	return a
}

// v3Batch reads {"entries": [{"id": "…", and the members of a record}, …]}.
func (d *recordReader) v3Batch(part *v3Part) error {
	ids := map[string]bool{}
	err := d.object("the body", func(name []byte) error {
		if string(name) != "entries" {
			_, err := d.value()
			return err
		}
		return d.array("entries", func() error {
			if err := part.read(d); err != nil {
				return err
			}
			at := len(part.records) - 1
			id := part.records[at].id
			switch {
			case !isEntryID(id):
				return refuse(http.StatusUnprocessableEntity, "id", "entry %d needs an id: 1 to %d of the characters "+
					"A-Z, a-z, 0-9, - and _", at, maxEntryID)
			case ids[id]:
				return refuse(http.StatusUnprocessableEntity, "id", "entry %d has the id %q of an entry before it", at, id)
			}
			ids[id] = true
			return d.hold(recordOverhead)
		})
	})
	if err == nil && len(part.records) == 0 {
		err = refuse(http.StatusUnprocessableEntity, "entries", "the body has no entries")
	}
	return err
}

// maxEntryID is how long the id of an entry may be.
const maxEntryID = 80

func isEntryID(id string) bool {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= maxEntryID
}
