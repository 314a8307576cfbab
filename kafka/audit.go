package kafka

// audit logs that a client has changed something that an administrator answers for, or has tried
// to: who, from where, what, and with what result. It never tells secrets: subject names what was
// changed.
func (s *Server) audit(from *peer, action, subject string, failed *refusal) {
	result := "done"
	if failed != nil {
		result = failed.Error()
	}
	s.opts.Logger.Info("audit", "action", action, "subject", subject, "result", result,
		"principal", from.asks.Client.Principal.String(), "peer", from.Address, "client", from.ClientID)
}
