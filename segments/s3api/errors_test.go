package s3api

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
)

// TestErrorsSayWhatToDo holds every error that a person can mend against its advice, in one line.
func TestErrorsSayWhatToDo(t *testing.T) {
	target := Target{Bucket: "logs", Endpoint: "http://127.0.0.1:9000"}
	httpError := func(err error) error { return &url.Error{Op: "Put", URL: "http://127.0.0.1:9000/logs/k", Err: err} }
	for _, test := range []struct {
		op     Op
		err    error
		answer Answer
		want   error
		says   []string
	}{
		{Put, nil, Answer{Status: 404, Code: "NoSuchBucket"}, ErrBucket,
			[]string{"put some/key", "create logs at http://127.0.0.1:9000"}},
		{Put, nil, Answer{Status: 403, Code: "AccessDenied", Message: "Access Denied."}, ErrDenied,
			[]string{"allow s3:PutObject on bucket logs", "AccessDenied Access Denied"}},
		{Get, nil, Answer{Status: 403, Code: "AccessDenied"}, ErrDenied, []string{"s3:GetObject"}},
		{Delete, nil, Answer{Status: 403, Code: "AccessDenied"}, ErrDenied, []string{"s3:DeleteObject"}},
		{List, nil, Answer{Status: 403}, ErrDenied, []string{"s3:ListBucket", "Forbidden (403)"}},
		{Put, nil, Answer{Status: 403, Code: "SignatureDoesNotMatch", RequestID: "17A"}, ErrCredentials,
			[]string{"check the access key", "request 17A"}},
		{Put, nil, Answer{Status: 400, Code: "ExpiredToken"}, ErrCredentials, []string{"session token"}},
		{Put, nil, Answer{Status: 301, Code: "PermanentRedirect", Region: "eu-west-1"}, ErrRegion,
			[]string{"add region=eu-west-1"}},
		{Put, nil, Answer{Status: 400, Code: "AuthorizationHeaderMalformed", Message: "expecting 'eu-west-1'"}, ErrRegion,
			[]string{"add region=…", "eu-west-1"}},
		{Put, nil, Answer{Status: 403, Code: "RequestTimeTooSkewed"}, ErrClock, []string{"NTP"}},
		{Put, nil, Answer{Status: 501, Code: "NotImplemented"}, ErrUnsupported, []string{"If-None-Match"}},
		{Put, nil, Answer{Status: 503, Code: "SlowDown"}, ErrBusy, []string{"SlowDown"}},
		{Put, nil, Answer{Status: 400, Code: "BadDigest"}, nil,
			[]string{"logs at http://127.0.0.1:9000 refuses: BadDigest (400)"}},
		{Put, httpError(dialError), Answer{}, ErrUnreachable, []string{"start the server", "connection refused"}},
		{Put, httpError(&net.DNSError{Err: "no such host", Name: "minoi"}), Answer{}, ErrUnreachable,
			[]string{"check the endpoint", "minoi"}},
		{Put, httpError(x509.UnknownAuthorityError{}), Answer{}, ErrUnreachable, []string{"SSL_CERT_FILE"}},
		{Put, httpError(errors.New("http: server gave HTTP response to HTTPS client")), Answer{}, ErrUnreachable,
			[]string{"secure=false"}},
		{Put, fmt.Errorf("%w: 15s passed", ErrTimeout), Answer{}, ErrTimeout, []string{"15s"}},
	} {
		err := target.explain(Request{Op: test.op, Key: "some/key"}, test.err, test.answer)
		if test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%+v %v is %v", test.answer, test.err, err)
		}
		for _, text := range append(test.says, "some/key") {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%q does not say %q", err, text)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q has several lines", err)
		}
	}
}
