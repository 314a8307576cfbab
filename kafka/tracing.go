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

// What is looked at for the name of a trace: a first batch that is small, also when it is
// decompressed, and a value as long as W3C's version 00 has it.
const (
	tracedBytes  = 16 << 10
	parentLength = 55
)

// parentOf is the trace that the first record of a request names, if its batch has passed; empty if
// it names none.
func (p *produceCall) parentOf(req *produceRequest) string {
	if p.s.opts.Tracer == nil || len(p.results) == 0 || p.results[0].refused != nil {
		return ""
	}
	first := req.Topics[0].Partitions[0].Records
	if len(first) > tracedBytes {
		return ""
	}
	for record, err := range batch.Records(first, tracedBytes) {
		if err != nil {
			return ""
		}
		for _, h := range record.Headers {
			if h.Key == tracing.Parent && len(h.Value) == parentLength {
				return string(h.Value)
			}
		}
		break
	}
	return ""
}
