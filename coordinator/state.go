package coordinator

// State is what facts add up to: topics, and for every partition its offsets, spans and producers. It holds confirmed facts only,
// except in Embedded, which keeps a second one of everything decided. It is not safe for concurrent use.
type State struct{}
