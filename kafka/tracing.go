package kafka

import (
	"time"

	"firn.dev/segments/batch"
	"firn.dev/tracing"
)

// trace makes a request part of a trace: of the one that its first record names, or of a new one.
func (s *Server) trace(r *request, name, err string) {
	if s.opts.Tracer == nil {
		return
	}
	t := &tracing.Request{Name: name, From: r.received, To: time.Now(), Attributes: map[string]string{
		"messaging.system": "kafka", "messaging.client.id": r.clientID}}
	if err != "none" {
		t.Failed = err
	}
	if p := r.produce; p != nil {
		t.Parent = p.parent
		if p.pending != nil {
			for _, stage := range p.pending.Stages() {
				t.Add(tracing.Step(stage))
			}
		}
	}
	s.opts.Tracer.Record(t)
}

// parentOf is the trace that the first record of a request names; empty if it names none. What
// cannot be read is refused elsewhere.
func (s *Server) parentOf(req *produceRequest) string {
	if s.opts.Tracer == nil || len(req.Topics) == 0 || len(req.Topics[0].Partitions) == 0 {
		return ""
	}
	for record, err := range batch.Records(req.Topics[0].Partitions[0].Records, s.preparer.MaxDecompressed) {
		if err != nil {
			return ""
		}
		for _, h := range record.Headers {
			if h.Key == tracing.Parent {
				return string(h.Value)
			}
		}
		break
	}
	return ""
}
