package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// maxAdminBody is how long the body of a request may be that brings no records.
const maxAdminBody = 1 << 20

// readJSON reads a body that is one JSON object into v. What that takes is counted before it is
// read. Fields that v does not have are refused, because a misspelt one would otherwise do silently
// something else.
func readJSON(w http.ResponseWriter, r *http.Request, v any, memory *share) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != typeJSON && kind != "application/merge-patch+json" {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type", "the body has to be %s, and to say so", typeJSON)
	}
	length := min(r.ContentLength, maxAdminBody)
	if length < 0 {
		length = maxAdminBody
	}
	if err := memory.grow(r.Context(), adminBodyFactor*length); err != nil {
		return err
	}
	body := http.MaxBytesReader(w, r.Body, maxAdminBody)
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("something follows the object")
		}
	}
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		return adminBodyTooLarge()
	}
	if p, is := errors.AsType[*problem](err); is {
		return p
	}
	if typed, is := errors.AsType[*json.UnmarshalTypeError](err); is {
		return invalid(typed.Field, "is a %s; it has to be a %s", typed.Value, typed.Type)
	}
	if field, is := strings.CutPrefix(err.Error(), "json: unknown field "); is {
		return invalid(strings.Trim(field, `"`), "is no field here")
	}
	return refuse(http.StatusBadRequest, "", "the body is not what is wanted here: %v", err)
}

// adminBodyTooLarge refuses a body that is longer than maxAdminBody.
func adminBodyTooLarge() *problem {
	p := refuse(http.StatusRequestEntityTooLarge, "", "a body that brings no records may have %d bytes", maxAdminBody)
	p.Limit = "MaxAdminBody"
	return p
}

// compactJSON is v on one line.
func compactJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // nothing that is answered here can fail to be JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// seconds is a time in a body: a number of seconds, or text like 30s. Answers have numbers.
type seconds time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *seconds) UnmarshalJSON(b []byte) error {
	var number float64
	if json.Unmarshal(b, &number) == nil {
		if number < 0 || number > 1e6 {
			return invalid("ttl", "is %v seconds", number)
		}
		*d = seconds(number * float64(time.Second))
		return nil
	}
	var text string
	_ = json.Unmarshal(b, &text)
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return invalid("ttl", "is %s; it has to be a number of seconds, or text like \"30s\"", b)
	}
	*d = seconds(parsed)
	return nil
}

// MarshalJSON implements json.Marshaler.
func (d seconds) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).Seconds()) }
