package s3api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"firn.dev/segments"
)

// refusal is an error with a server's answer in it.
type refusal struct{ answer Answer }

func (r refusal) Error() string { return "refused" }

func answerOf(err error) Answer {
	var r refusal
	errors.As(err, &r)
	return r.answer
}

var (
	dialError = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	readError = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
)

// TestWhatIsSentAgain fails a request once, each way. A put goes out a second time only after the
// server has said that it did nothing.
func TestWhatIsSentAgain(t *testing.T) {
	for _, test := range []struct {
		failure    error
		put, other bool
	}{
		{refusal{Answer{Status: 503, Code: "SlowDown"}}, true, true},
		{refusal{Answer{Status: 503, Code: "ServiceUnavailable"}}, true, true},
		{refusal{Answer{Status: 429}}, true, true},
		{refusal{Answer{Status: 409, Code: "ConditionalRequestConflict"}}, true, true},
		{refusal{Answer{Status: 400, Code: "RequestTimeout"}}, true, true},
		{refusal{Answer{Status: 503, Code: "SlowDownWrite"}}, false, true},
		{refusal{Answer{Status: 500, Code: "InternalError"}}, false, true},
		{refusal{Answer{Status: 502}}, false, true},
		{refusal{Answer{Status: 501, Code: "NotImplemented"}}, false, false},
		{refusal{Answer{Status: 412, Code: "PreconditionFailed"}}, false, false},
		{refusal{Answer{Status: 404, Code: "NoSuchKey"}}, false, false},
		{refusal{Answer{Status: 403, Code: "AccessDenied"}}, true, true},
		{refusal{Answer{Status: 400, Code: "IncompleteBody"}}, true, true},
		{refusal{Answer{Status: 403, Code: "SignatureDoesNotMatch"}}, false, false},
		{io.ErrUnexpectedEOF, false, true},
		{fmt.Errorf("wrapped: %w", readError), false, true},
		{dialError, false, true},
		{fmt.Errorf("%w", ErrAnswer), false, false},
		{errors.New("anything else"), false, false},
	} {
		for _, op := range []Op{Put, Get, List, Delete} {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				err := Target{Bucket: "b"}.Do(t.Context(), Request{Op: op, Key: "k"}, answerOf, func(context.Context) error {
					if sent++; sent == 1 {
						return test.failure
					}
					return nil
				})
				want := test.other
				if op == Put {
					want = test.put
				}
				if (sent == 2) != want || (err == nil) != want {
					t.Errorf("%s after %v %+v: sent %d times, %v", op, test.failure, answerOf(test.failure), sent, err)
				}
			})
		}
	}
}

// TestPatienceEnds has a server that is always too busy.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent, began := 0, time.Now()
		err := Target{Bucket: "b"}.Do(t.Context(), Request{Op: Put, Key: "k"}, answerOf, func(context.Context) error {
			sent++
			return refusal{Answer{Status: 503, Code: "SlowDown"}}
		})
		if !errors.Is(err, ErrBusy) || sent != attempts {
			t.Errorf("sent %d times: %v", sent, err)
		}
		if took := time.Since(began); took < 300*time.Millisecond || took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestSilence has a server that never answers: a put fails after its deadline, a get after that of
// each attempt. Neither error is that of a context, since the caller's goes on.
func TestSilence(t *testing.T) {
	for op, want := range map[Op]int{Put: 1, Get: attempts} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			err := Target{Bucket: "b"}.Do(t.Context(), Request{Op: op, Key: "k", Bytes: 8 << 20}, answerOf,
				func(ctx context.Context) error {
					sent++
					<-ctx.Done()
					return ctx.Err()
				})
			if !errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || sent != want {
				t.Errorf("%s sent %d times: %v", op, sent, err)
			}
		})
	}
}

// TestCallerGivesUp ends during an attempt, and between two.
func TestCallerGivesUp(t *testing.T) {
	for _, busy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
			defer cancel()
			err := Target{Bucket: "b"}.Do(ctx, Request{Op: Get, Key: "k"}, answerOf, func(ctx context.Context) error {
				if busy {
					return refusal{Answer{Status: 503, Code: "SlowDown"}}
				}
				<-ctx.Done()
				return ctx.Err()
			})
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) {
				t.Error(err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for bytes, want := range map[int64]time.Duration{0: 15 * time.Second, 8 << 20: 23 * time.Second, -1: 79 * time.Second,
		1<<63 - 1: 1039 * time.Second} {
		if got := (Request{Bytes: bytes}).limit(); got != want {
			t.Errorf("%d bytes may take %v, not %v", bytes, got, want)
		}
	}
}

// TestRefusalsOfTheContract are those that callers ask for by name.
func TestRefusalsOfTheContract(t *testing.T) {
	for _, test := range []struct {
		answer Answer
		want   error
	}{
		{Answer{Status: 412, Code: "PreconditionFailed"}, segments.ErrExists},
		{Answer{Status: 412}, segments.ErrExists},
		{Answer{Status: 404, Code: "NoSuchKey"}, segments.ErrNotFound},
		{Answer{Status: 404}, segments.ErrNotFound},
		{Answer{Status: 404, Code: "NoSuchBucket"}, ErrBucket},
	} {
		err := Target{Bucket: "b"}.explain(Request{Op: Get, Key: "some/key"}, refusal{test.answer}, test.answer)
		if !errors.Is(err, test.want) {
			t.Errorf("%+v is %v", test.answer, err)
		}
	}
}
