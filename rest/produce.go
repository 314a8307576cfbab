package rest

// producing is for producers.
func (s *Server) producing() []route {
	if s.opts.Writer == nil {
		return nil
	}
	return nil
}
