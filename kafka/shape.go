package kafka

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kmsg's decoders trust what they read: a count of four billion tagged fields in a request of ten
// bytes keeps one of them busy for minutes, and an array is allocated in full before its first
// element is looked at. So a request is walked along its shape first; only one that is there in
// full, to its last element, is decoded.
//
// Shapes are not written down. They are learned from kmsg itself, once for each version of each
// API: setting one field after another and looking at what changes in the encoding tells which
// fields that version has, and whether they stand in the body or among the tagged fields.

// maxTags is how many tagged fields a request may have in all. Clients send a handful at most, and
// kmsg makes a map for each struct that has some.
const maxTags = 100

// shape is how a value lies on the wire.
type shape struct {
	kind     kind
	size     int      // scalar
	elem     *shape   // array, and optional struct
	memory   int      // array and optional struct: what an element takes in memory, beside what it points to
	fields   []*shape // structure: those of the body, in order
	tagged   map[uint32]*shape
	flexible bool // compact types, and tagged fields behind each structure
}

type kind uint8

const (
	scalar   kind = iota // a number, bool or UUID
	text                 // a string or null
	blob                 // bytes or null
	array                // or null
	optional             // a struct or null
	structure
)

// walked is what a walk has found so far.
type walked struct {
	tags    int
	memory  int64 // that the decoded request takes
	aliased bool  // by the decoded request: it points to bytes of the encoded one
}

// textBytes is what a string takes beside its bytes: their place in the heap, and a pointer to them
// if it may be null.
const textBytes = 16

// walk reads one value. It leaves in.bad set if the value is not there in full.
func (s *shape) walk(in *wire, w *walked) {
	switch s.kind {
	case scalar:
		in.span(s.size)
	case text:
		w.memory += textBytes + int64(len(in.optionalString(s.flexible)))
	case blob:
		bytes := in.optionalBytes(s.flexible)
		w.aliased = w.aliased || len(bytes) > 0
	case array:
		n := in.count(s.flexible, 1)
		w.memory += int64(n) * int64(s.memory) * 5 / 4 // as the allocator rounds it up
		for ; n > 0 && !in.bad; n-- {
			s.elem.walk(in, w)
		}
	case optional:
		if in.int8() >= 0 {
			w.memory += int64(s.memory)
			s.elem.walk(in, w)
		}
	case structure:
		for _, f := range s.fields {
			f.walk(in, w)
		}
		if s.flexible {
			s.walkTags(in, w)
		}
	}
}

// tagBytes is what a struct's tagged fields take that are not known: kmsg keeps them in a map.
const tagBytes = 512

func (s *shape) walkTags(in *wire, w *walked) {
	n := in.uvarint()
	if n > uint32(maxTags-w.tags) {
		in.fail()
		return
	}
	w.tags += int(n)
	w.memory += int64(n) * tagBytes
	w.aliased = w.aliased || n > 0
	for ; n > 0 && !in.bad; n-- {
		number := in.uvarint()
		value := wire{src: in.span(int(in.uvarint()))}
		if known := s.tagged[number]; known != nil {
			known.walk(&value, w)
		}
		if value.bad {
			in.fail()
		}
	}
}

// shapes keeps what was learned.
type shapes struct{ learned sync.Map } // [2]int16{key, version} -> *shape

// check reports how much memory a request takes when it is decoded, and whether that points to its
// bytes. An error says that body is no whole request of that API and version.
func (s *shapes) check(key, version int16, body []byte) (memory int64, aliased bool, err error) {
	at := [2]int16{key, version}
	known, ok := s.learned.Load(at)
	if !ok {
		known, _ = s.learned.LoadOrStore(at, learnRequest(key, version))
	}
	in, w := wire{src: body}, walked{memory: requestBytes}
	known.(*shape).walk(&in, &w)
	if in.bad {
		return 0, false, fmt.Errorf("%w: %s version %d of %d bytes", errFrame, kmsg.Key(key).Name(), version, len(body))
	}
	return w.memory, w.aliased, nil
}

// requestBytes is what a decoded request takes without its arrays and strings.
const requestBytes = 512

// learnRequest learns the shape of one version of an API.
func learnRequest(key, version int16) *shape {
	l := learner{req: kmsg.RequestForKey(key)}
	l.req.SetVersion(version)
	l.flexible = l.req.IsFlexible()
	return l.structure(reflect.ValueOf(l.req).Elem())
}

// learner changes one value of a request after another and looks at the encoding.
type learner struct {
	req      kmsg.Request
	flexible bool
}

func (l *learner) encode() []byte { return l.req.AppendTo(nil) }

// structure learns the shape of a struct that is part of the request.
func (l *learner) structure(v reflect.Value) *shape {
	s := &shape{kind: structure, flexible: l.flexible, tagged: map[uint32]*shape{}}
	for i := range v.NumField() {
		f := v.Field(i)
		if name := v.Type().Field(i).Name; name == "Version" && v.Addr().Interface() == any(l.req) || name == "UnknownTags" {
			continue
		}
		value, where, tag := l.value(f)
		switch where {
		case inBody:
			s.fields = append(s.fields, value)
		case inTags:
			s.tagged[tag] = value
		}
	}
	return s
}

// section is where a field stands in an encoding.
type section uint8

const (
	nowhere section = iota // in other versions only
	inBody
	inTags
)

// value learns the shape of a field, and where it stands. It leaves the field as it was.
func (l *learner) value(f reflect.Value) (*shape, section, uint32) {
	if f.Kind() == reflect.Struct {
		return l.nested(f)
	}
	before := reflect.New(f.Type()).Elem()
	before.Set(f)
	defer f.Set(before)

	none := l.encode()
	grow(f)
	one := l.encode()
	grow(f)
	two := l.encode()
	if bytes.Equal(none, one) {
		return nil, nowhere, 0
	}
	s := &shape{flexible: l.flexible}
	l.describe(s, f)
	// In the body, the second element or byte costs as much as the first, and a number costs nothing.
	// The first that makes a tagged field appear also brings the field's number and length.
	if s.kind == optional || len(one)-len(none) == len(two)-len(one) {
		return s, inBody, 0
	}
	return s, inTags, tagNumber(none, one)
}

// nested learns a struct that is a field. It is a tagged field if changing a number in it makes the
// encoding longer. While its own fields are learned the number stays changed, so that the struct
// stays there.
func (l *learner) nested(f reflect.Value) (*shape, section, uint32) {
	none := l.encode()
	for _, leaf := range f.Fields() {
		leaf := leaf
		if !leaf.CanInt() {
			continue
		}
		before := reflect.New(leaf.Type()).Elem()
		before.Set(leaf)
		change(leaf, 1<<3) // grow changes another bit
		one := l.encode()
		var s *shape
		if !bytes.Equal(none, one) {
			s = l.structure(f)
		}
		leaf.Set(before)
		switch {
		case s == nil: // a number of other versions
		case len(one) == len(none):
			return s, inBody, 0
		default:
			return s, inTags, tagNumber(none, one)
		}
	}
	if s := l.structure(f); len(s.fields) > 0 {
		return s, inBody, 0 // without a number; kmsg has none of these among tagged fields, as a test shows
	}
	return nil, nowhere, 0
}

// tagNumber returns the number of the one tagged field that with has and without has not: they
// differ first in the count of tagged fields, and the number comes next.
func tagNumber(without, with []byte) uint32 {
	i := 0
	for i < len(without) && without[i] == with[i] {
		i++
	}
	in := wire{src: with[i:]}
	in.uvarint()
	return in.uvarint()
}

// describe fills in the shape of a field that is there. Slices and pointers are not empty.
func (l *learner) describe(s *shape, f reflect.Value) {
	switch f.Kind() {
	case reflect.String:
		s.kind = text
	case reflect.Slice:
		if f.Type().Elem().Kind() == reflect.Uint8 {
			s.kind = blob
			return
		}
		s.kind, s.memory = array, int(f.Type().Elem().Size())
		f.SetLen(1)
		s.elem = l.element(f.Index(0))
	case reflect.Pointer:
		if f.Type().Elem().Kind() == reflect.String {
			s.kind = text
			return
		}
		s.kind, s.memory, s.elem = optional, int(f.Type().Elem().Size()), l.element(f.Elem())
	default:
		s.kind, s.size = scalar, int(f.Type().Size())
	}
}

// element learns what a slice or a pointer holds.
func (l *learner) element(v reflect.Value) *shape {
	if v.Kind() == reflect.Struct {
		return l.structure(v)
	}
	s := &shape{flexible: l.flexible}
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		grow(v)
	}
	l.describe(s, v)
	return s
}

// grow makes a value different, and a string or slice longer by one.
func grow(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "a")
	case reflect.Slice:
		v.Set(reflect.Append(v, fresh(v.Type().Elem())))
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(fresh(v.Type().Elem()).Addr())
		}
		if e := v.Elem(); e.Kind() == reflect.String {
			grow(e)
		}
	default:
		change(v, 1<<2)
	}
}

// change flips a bit of a number, or something like it.
func change(v reflect.Value, bit int64) {
	switch {
	case v.CanInt():
		v.SetInt(v.Int() ^ bit)
	case v.CanUint():
		v.SetUint(v.Uint() ^ uint64(bit))
	case v.CanFloat():
		v.SetFloat(v.Float() + float64(bit))
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.Array: // a UUID
		change(v.Index(0), bit)
	default:
		panic(fmt.Sprintf("kafka: no shape for a %s", v.Type()))
	}
}

// fresh returns a new value with kmsg's defaults.
func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := reflect.TypeAssert[interface{ Default() }](v); ok {
		d.Default()
	}
	return v.Elem()
}
