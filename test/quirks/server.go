// Package quirks is a stand-in for S3, in memory, with a switch for each thing that some stores do
// otherwise than S3. It looks at no signature, so it takes any credentials.
package quirks

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Quirks is what a store does otherwise than S3. The zero Quirks is S3.
type Quirks struct {
	IgnoreCondition bool          // If-None-Match is not honoured: a second put replaces the object
	NotModified     bool          // a put of a key that exists is refused with 304, not with 412
	DemandMD5       bool          // DeleteObjects is refused without Content-MD5
	RefuseChecksums bool          // x-amz-checksum-… is refused, on whatever it is sent
	NoDeleteObjects bool          // DeleteObjects is not implemented
	Busy            time.Duration // 503 SlowDown to everything for so long, from the next request on
	ListLag         time.Duration // a listing shows the bucket as it was so long ago
	Clock           time.Duration // by how much the store's clock is ahead
	DenyEvery       int           // one of so many requests is refused with 403 AccessDenied, though nothing is wrong
}

// Bucket is the one bucket of the stand-in, whatever it is called in a request.
type Bucket struct {
	mu       sync.Mutex
	quirks   Quirks
	busy     time.Time // until when everything is refused; zero if nothing has come since Set
	objects  map[string]*object
	uploads  map[string]*upload
	requests int
	refused  map[string]int // answers other than 2xx, by S3's code
}

type object struct {
	body     []byte
	metadata http.Header
	created  time.Time // by the true clock
	deleted  time.Time // zero if it is there
}

type upload struct {
	key      string
	metadata http.Header
	begun    time.Time
	parts    map[int][]byte
}

// NewBucket returns an empty bucket.
func NewBucket() *Bucket {
	return &Bucket{objects: map[string]*object{}, uploads: map[string]*upload{}, refused: map[string]int{}}
}

var _ http.Handler = (*Bucket)(nil)

// Set changes what the store does from now on.
func (b *Bucket) Set(q Quirks) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quirks, b.busy = q, time.Time{}
}

// Count is how many objects there are below a prefix.
func (b *Bucket) Count(prefix string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, o := range b.objects {
		if strings.HasPrefix(key, prefix) && o.deleted.IsZero() {
			n++
		}
	}
	return n
}

// Refused is how often the store refused something, by S3's code.
func (b *Bucket) Refused() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.refused)
}

// refusal is an answer other than 2xx.
type refusal struct {
	status int
	code   string
	why    string
}

var (
	noSuchKey    = &refusal{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	noSuchUpload = &refusal{http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist."}
	exists       = &refusal{http.StatusPreconditionFailed, "PreconditionFailed", "A precondition did not hold."}
	notModified  = &refusal{http.StatusNotModified, "NotModified", ""}
	slowDown     = &refusal{http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."}
	denied       = &refusal{http.StatusForbidden, "AccessDenied", "Access Denied."}
	missingMD5   = &refusal{http.StatusBadRequest, "InvalidRequest", "Missing required header: Content-MD5"}
	badDigest    = &refusal{http.StatusBadRequest, "BadDigest", "The Content-MD5 did not match."}
	noChecksums  = &refusal{http.StatusBadRequest, "InvalidArgument", "Unsupported header: x-amz-checksum"}
	noRange      = &refusal{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The range is not satisfiable."}
	unknown      = &refusal{http.StatusNotImplemented, "NotImplemented", "This is not implemented."}
	badBody      = &refusal{http.StatusBadRequest, "IncompleteBody", "The body did not come whole."}
)

// ServeHTTP implements http.Handler.
func (b *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body) // before anything is refused: the connection is used again
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now().Add(b.quirks.Clock)
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	refused := badBody
	if err == nil {
		if refused = b.refuse(r); refused == nil {
			refused = b.serve(w, r, body)
		}
	}
	if refused == nil {
		return
	}
	b.refused[refused.code]++
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(refused.status)
	if r.Method != http.MethodHead && refused.status != http.StatusNotModified {
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", refused.code, refused.why)
	}
}

// refuse is what the quirks refuse of a request before anybody looks what it asks for.
func (b *Bucket) refuse(r *http.Request) *refusal {
	b.requests++
	if b.busy.IsZero() {
		b.busy = time.Now().Add(b.quirks.Busy)
	}
	switch {
	case time.Now().Before(b.busy):
		return slowDown
	case b.quirks.DenyEvery > 0 && b.requests%b.quirks.DenyEvery == 0:
		return denied
	case r.Header.Get("Content-Encoding") == "aws-chunked":
		return unknown
	}
	for name := range r.Header {
		if b.quirks.RefuseChecksums && (strings.HasPrefix(name, "X-Amz-Checksum") || name == "X-Amz-Sdk-Checksum-Algorithm") {
			return noChecksums
		}
	}
	return nil
}

// serve answers a request for the bucket or for an object.
func (b *Bucket) serve(w http.ResponseWriter, r *http.Request, body []byte) *refusal {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	switch {
	case key == "" && r.Method == http.MethodGet && q.Has("location"):
		fmt.Fprint(w, "<LocationConstraint>us-east-1</LocationConstraint>")
	case key == "" && r.Method == http.MethodGet && q.Has("uploads"):
		return b.listUploads(w)
	case key == "" && r.Method == http.MethodGet && q.Get("list-type") == "2":
		return b.list(w, q.Get("prefix"), max(q.Get("start-after"), q.Get("continuation-token")), q.Get("max-keys"))
	case key == "" && r.Method == http.MethodPost && q.Has("delete"):
		return b.deleteObjects(w, r, body)
	case key == "":
		return unknown
	case r.Method == http.MethodPost && q.Has("uploads"):
		return b.begin(w, r, key)
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return b.part(w, q.Get("uploadId"), q.Get("partNumber"), body)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return b.complete(w, r, key, q.Get("uploadId"), body)
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		if b.uploads[q.Get("uploadId")] == nil {
			return noSuchUpload
		}
		delete(b.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		return b.put(w, r, key, body, r.Header)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return b.get(w, r, key)
	case r.Method == http.MethodDelete:
		b.remove(key)
		w.WriteHeader(http.StatusNoContent)
	default:
		return unknown
	}
	return nil
}

// there is an object that was not deleted, or nil.
func (b *Bucket) there(key string) *object {
	if o := b.objects[key]; o != nil && o.deleted.IsZero() {
		return o
	}
	return nil
}

func (b *Bucket) put(w http.ResponseWriter, r *http.Request, key string, body []byte, metadata http.Header) *refusal {
	if r.Header.Get("If-None-Match") == "*" && b.there(key) != nil && !b.quirks.IgnoreCondition {
		if b.quirks.NotModified {
			return notModified
		}
		return exists
	}
	b.objects[key] = &object{body: body, metadata: metadata, created: time.Now()}
	w.Header().Set("ETag", etag(body))
	return nil
}

func (b *Bucket) get(w http.ResponseWriter, r *http.Request, key string) *refusal {
	o := b.there(key)
	if o == nil {
		return noSuchKey
	}
	first, last, ranged := int64(0), int64(len(o.body))-1, r.Header.Get("Range") != ""
	if ranged {
		var ok bool
		if first, last, ok = within(r.Header.Get("Range"), int64(len(o.body))); !ok {
			return noRange
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(o.body)))
	}
	for name, values := range o.metadata {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			w.Header()[name] = values
		}
	}
	w.Header().Set("ETag", etag(o.body))
	w.Header().Set("Last-Modified", o.created.Add(b.quirks.Clock).UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Length", strconv.FormatInt(last-first+1, 10))
	if ranged {
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(o.body[first : last+1]) // who has gone does not care
	}
	return nil
}

// within reads a Range header.
func within(header string, size int64) (first, last int64, ok bool) {
	from, to, _ := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	if from == "" {
		n, err := strconv.ParseInt(to, 10, 64)
		return max(0, size-n), size - 1, err == nil && n > 0 && size > 0
	}
	first, err := strconv.ParseInt(from, 10, 64)
	last = size - 1
	if err == nil && to != "" {
		last, err = strconv.ParseInt(to, 10, 64)
	}
	return first, min(last, size-1), err == nil && first < size
}

// remove deletes an object. A listing that lags goes on showing it.
func (b *Bucket) remove(key string) {
	if o := b.there(key); o != nil {
		o.deleted, o.body = time.Now(), nil
	}
}

func (b *Bucket) deleteObjects(w http.ResponseWriter, r *http.Request, body []byte) *refusal {
	sum := md5.Sum(body)
	switch given := r.Header.Get("Content-MD5"); {
	case b.quirks.NoDeleteObjects:
		return unknown
	case given == "" && b.quirks.DemandMD5:
		return missingMD5
	case given != "" && given != base64.StdEncoding.EncodeToString(sum[:]):
		return badDigest
	}
	var keys struct {
		Object []struct{ Key string }
	}
	if xml.Unmarshal(body, &keys) != nil {
		return badBody
	}
	for _, o := range keys.Object {
		b.remove(o.Key)
	}
	fmt.Fprint(w, "<DeleteResult></DeleteResult>")
	return nil
}

type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	KeyCount              int
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listed
}

type listed struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
}

const isoTime = "2006-01-02T15:04:05.000Z"

func (b *Bucket) list(w http.ResponseWriter, prefix, after, most string) *refusal {
	limit, err := strconv.Atoi(cmp.Or(most, "1000"))
	if err != nil {
		return unknown
	}
	at := time.Now().Add(-b.quirks.ListLag)
	var page listing
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		o := b.objects[key]
		gone := !o.deleted.IsZero() && !o.deleted.After(at)
		if !strings.HasPrefix(key, prefix) || key <= after || o.created.After(at) || gone {
			continue
		}
		if len(page.Contents) == limit {
			page.IsTruncated, page.NextContinuationToken = true, page.Contents[limit-1].Key
			break
		}
		modified := o.created.Add(b.quirks.Clock).UTC().Format(isoTime)
		page.Contents = append(page.Contents, listed{key, modified, etag(o.body), len(o.body)})
	}
	page.KeyCount = len(page.Contents)
	return answer(w, page)
}

func answer(w http.ResponseWriter, value any) *refusal {
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(value) // who has gone does not care
	return nil
}

func etag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}
