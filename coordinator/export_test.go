package coordinator

// forgetKeys makes a coordinator forget every request.
func (e *Embedded) forgetKeys() {
	for _, p := range e.decided.partitions {
		p.keys = nil
	}
}
