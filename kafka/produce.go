package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type produceCall struct{}

func (s *Server) startProduce(ctx context.Context, r *request) (*produceCall, error) {
	return nil, errors.New("unwritten")
}

func (p *produceCall) wait(ctx context.Context) (kmsg.Response, error) {
	return nil, errors.New("unwritten")
}
