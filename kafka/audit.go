package kafka

import "github.com/twmb/franz-go/pkg/kerr"

// changed says in the audit log what has become of a change that the client asked for. The subject
// is what was to be changed; never a secret.
func (p *peer) changed(action, subject string, failed *refusal) {
	var err error
	if failed != nil {
		err = failed
	}
	p.asks.Audit.Changed(p.asks.Client, action, subject, err)
}

// changedGroup is changed for what groups say.
func (p *peer) changedGroup(action, group string, failed *kerr.Error) {
	var err error
	if failed != nil {
		err = failed
	}
	p.asks.Audit.Changed(p.asks.Client, action, group, err)
}
