package s3api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"firn.dev/segments"
)

// ParseURL parses a store's URL. Its errors never hold what stands in it: that may be a secret.
func ParseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if wrong := new(url.Error); errors.As(err, &wrong) {
		var escape url.EscapeError
		var host url.InvalidHostError
		if errors.As(err, &escape) || errors.As(err, &host) {
			return nil, errors.New("the store's URL cannot be read: a character in it must be written as %XX")
		}
		return nil, errors.New("the store's URL cannot be read")
	}
	return u, err
}

// Params are the parameters of a store's URL. It collects what is wrong with them.
type Params struct {
	values url.Values
	known  []string
	Errs   []error
}

// NewParams returns the parameters of u.
func NewParams(u *url.URL) *Params {
	values, err := url.ParseQuery(u.RawQuery)
	p := &Params{values: values}
	if err != nil {
		p.Errs = append(p.Errs, errors.New("the parameters after ? cannot be read"))
	}
	return p
}

// Text returns a parameter, or "".
func (p *Params) Text(name string) string {
	p.known = append(p.known, name)
	return p.values.Get(name)
}

// OneOf is Text for a parameter that has choices.
func (p *Params) OneOf(name string, choices ...string) string {
	s := p.Text(name)
	if s != "" && !slices.Contains(choices, s) {
		p.Errs = append(p.Errs, fmt.Errorf("%s is one of %s", name, strings.Join(choices, ", ")))
	}
	return s
}

// Bool returns a parameter that is true or false, with its default.
func (p *Params) Bool(name string, otherwise bool) bool {
	s := p.Text(name)
	if s == "" {
		return otherwise
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		p.Errs = append(p.Errs, fmt.Errorf("%s is true or false", name))
	}
	return b
}

// Done returns all that is wrong, with the parameters that nobody has asked for.
func (p *Params) Done() error {
	for name := range p.values {
		if !slices.Contains(p.known, name) {
			p.Errs = append(p.Errs, fmt.Errorf("unknown parameter %q; there are %s", name, strings.Join(p.known, ", ")))
		}
	}
	return errors.Join(p.Errs...)
}

// maxPrefixLen leaves room for the longest key: S3 takes 1,024 bytes altogether.
const maxPrefixLen = 1024 - segments.MaxKeyLen - 1

// Prefix makes the prefix of all keys out of the path of a store's URL: empty, or ending with a
// slash.
func Prefix(path string) (string, error) {
	prefix := strings.Trim(path, "/")
	if prefix == "" {
		return "", nil
	}
	if len(prefix) > maxPrefixLen || segments.CheckKey(prefix) != nil {
		return "", fmt.Errorf("the prefix in the store's URL is made of letters, digits, and ._-/, and at most %d bytes long",
			maxPrefixLen)
	}
	return prefix + "/", nil
}
