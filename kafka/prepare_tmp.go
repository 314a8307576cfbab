package kafka

import "firn/ingest"

func (s *Server) prepare(in *incomingBatch, b ingest.Batch) (ingest.Batch, *refusal) { return b, nil }
