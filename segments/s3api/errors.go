package s3api

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"firn.dev/segments"
)

// What is wrong when it is not the request itself. The message that wraps one says what to do.
var (
	ErrBucket      = errors.New("there is no such bucket")
	ErrDenied      = errors.New("access denied")
	ErrCredentials = errors.New("the credentials are not accepted")
	ErrRegion      = errors.New("the bucket is in another region")
	ErrClock       = errors.New("this machine's clock is wrong")
	ErrUnreachable = errors.New("the server cannot be reached")
	ErrTimeout     = errors.New("the server does not answer in time")
	ErrBusy        = errors.New("the store is overloaded")
	ErrUnsupported = errors.New("the store does not support this request")
	ErrAnswer      = errors.New("the server's answer makes no sense")
)

// Answer is how a server refused a request: HTTP's status, S3's code. The zero Answer means that
// there was none.
type Answer struct {
	Status    int
	Code      string
	Message   string
	Region    string // of the bucket, where the server says so
	RequestID string
}

func (a Answer) String() string {
	s := strings.TrimSpace(fmt.Sprintf("%s %s", a.Code, strings.TrimRight(a.Message, ". ")))
	if s == "" {
		s = http.StatusText(a.Status)
	}
	if a.RequestID != "" {
		return fmt.Sprintf("%s (%d, request %s)", s, a.Status, a.RequestID)
	}
	return fmt.Sprintf("%s (%d)", s, a.Status)
}

// Target is where requests go, for people.
type Target struct {
	Bucket   string
	Endpoint string // empty: Amazon's
}

func (t Target) String() string {
	if t.Endpoint == "" {
		return t.Bucket
	}
	return t.Bucket + " at " + t.Endpoint
}

// explain turns the failure of a request into an error of the contract, or one that says what to
// do.
func (t Target) explain(r Request, err error, a Answer) error {
	say := func(sentinel error, advice string, args ...any) error {
		return fmt.Errorf("%s %s: %w: %s", r.Op, r.Key, sentinel, fmt.Sprintf(advice, args...))
	}
	what := kind(a)
	is := func(sentinel error) bool { return errors.Is(what, sentinel) }
	switch {
	case is(segments.ErrExists), is(segments.ErrNotFound):
		return fmt.Errorf("%s %s: %w", r.Op, r.Key, what)
	case is(ErrBucket):
		return say(ErrBucket, "create %s, or correct the store's URL", t)
	case is(ErrDenied):
		return say(ErrDenied, "allow %s on bucket %s to these credentials: %v", r.Op.action(), t, a)
	case is(ErrCredentials):
		return say(ErrCredentials, "check the access key, the secret key and the session token for %s: %v", t, a)
	case is(ErrRegion):
		if a.Region != "" {
			return say(ErrRegion, "add region=%s to the store's URL", a.Region)
		}
		return say(ErrRegion, "add region=… to the store's URL: %v", a)
	case is(ErrClock):
		return say(ErrClock, "set it by NTP: %v", a)
	case is(ErrUnsupported):
		return say(ErrUnsupported, "%s must honour If-None-Match on puts, byte ranges and ListObjectsV2%s: %v",
			t, r.checksumAdvice(a), a)
	case is(ErrBusy):
		return say(ErrBusy, "%v", a)
	}
	if a != (Answer{}) {
		return fmt.Errorf("%s %s: %s refuses: %v%s", r.Op, r.Key, t, a, r.checksumAdvice(a))
	}
	return t.explainSilence(r, err)
}

// checksumAdvice is for what is sent with a checksum header, which some stores refuse.
func (r Request) checksumAdvice(a Answer) string {
	switch r.Op {
	case Put, Create, Write, Commit:
		switch a.Code {
		case "InvalidRequest", "InvalidArgument", "NotImplemented", "":
			return "; if it knows no x-amz-checksum-crc32c, add checksum=none to the store's URL"
		}
	}
	return ""
}

// kind is the error that an answer stands for, or nil.
func kind(a Answer) error {
	switch a.Code {
	case "NoSuchBucket":
		return ErrBucket
	case "NoSuchKey":
		return segments.ErrNotFound
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidObjectState":
		return ErrDenied
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken",
		"TokenRefreshRequired",
		"XAdminUserNotFound": // versitygw
		return ErrCredentials
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "InvalidRegion", "InvalidLocationConstraint",
		"IllegalLocationConstraintException":
		return ErrRegion
	case "RequestTimeTooSkewed", "RequestExpired":
		return ErrClock
	case "NotImplemented", "MethodNotAllowed":
		return ErrUnsupported
	}
	switch a.Status {
	case http.StatusPreconditionFailed, http.StatusNotModified: // some stores answer a put as a get
		return segments.ErrExists
	case http.StatusNotFound:
		if a.Code == "" || a.Code == "NotFound" { // answers to HEAD have no body, so no code
			return segments.ErrNotFound
		}
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect:
		return ErrRegion
	case http.StatusForbidden:
		return ErrDenied
	case http.StatusNotImplemented:
		return ErrUnsupported
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return ErrBusy
	}
	return nil
}

// NoSuchUpload says whether the server knows nothing of an upload in parts: it is completed, or
// aborted, or so old that the server has dropped it.
func NoSuchUpload(a Answer) bool { return a.Code == "NoSuchUpload" }

// NoSuchObject says whether the server knows nothing of an object, which is what a delete wants.
func NoSuchObject(a Answer) bool { return errors.Is(kind(a), segments.ErrNotFound) }

// explainSilence is explain for a request that got no answer.
func (t Target) explainSilence(r Request, err error) error {
	var dns *net.DNSError
	var op *net.OpError
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	advice := ""
	switch {
	case errors.As(err, &dns):
		advice = "its name is not known; check the endpoint in the store's URL"
	case errors.As(err, &unknown), errors.As(err, &wrongName):
		advice = "its certificate is not trusted; add the authority to SSL_CERT_FILE, or check the endpoint's name"
	case errors.As(err, &op) && op.Op == "dial":
		advice = "nothing answers there; start the server, or check the endpoint in the store's URL"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s %s: %w: %s speaks plain HTTP; write an http:// endpoint, or secure=false, in the store's URL",
			r.Op, r.Key, ErrUnreachable, t)
	default:
		return fmt.Errorf("%s %s: %w", r.Op, r.Key, err)
	}
	return fmt.Errorf("%s %s: %w: %s: %s: %w", r.Op, r.Key, ErrUnreachable, t, advice, innermost(err))
}

// innermost drops what client libraries wrap around a network's error: it repeats the URL and the
// operation.
func innermost(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns
	}
	return err
}
