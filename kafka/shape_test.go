package kafka

import (
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Randomise sets every field below v to something random: what a version has not, its encoder
// leaves out. Tests outside send such requests.
func Randomise(v reflect.Value, rnd *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name == "UnknownTags" {
				if rnd.IntN(8) == 0 {
					v.Field(i).Addr().Interface().(*kmsg.Tags).Set(1000+rnd.Uint32N(1000), make([]byte, rnd.IntN(5)))
				}
			} else if name != "Version" {
				Randomise(v.Field(i), rnd)
			}
		}
	case reflect.Slice:
		n := rnd.IntN(3)
		s := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			Randomise(s.Index(i), rnd)
		}
		v.Set(s)
	case reflect.Pointer:
		if rnd.IntN(2) == 0 {
			v.Set(fresh(v.Type().Elem()).Addr())
			Randomise(v.Elem(), rnd)
		}
	case reflect.String:
		v.SetString("abcdef"[:rnd.IntN(6)])
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	default:
		if rnd.IntN(3) > 0 {
			change(v, int64(1+rnd.IntN(100)))
		}
	}
}

// Every request that kmsg encodes has the shape that was learned for it, to the last byte, and none
// that was cut short has.
func TestShapesAreThoseOfKmsg(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for key := range int16(kmsg.MaxKey + 1) {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		for version := range req.MaxVersion() + 1 {
			learned := learnRequest(key, version)
			for range 20 {
				req := kmsg.RequestForKey(key)
				req.SetVersion(version)
				Randomise(reflect.ValueOf(req).Elem(), rnd)
				body := req.AppendTo(nil)
				in := wire{src: body}
				learned.walk(&in, &walked{})
				if in.bad || len(in.src) > 0 {
					t.Fatalf("%s version %d: bad %v, %d of %d bytes left\n%x\n%+v", kmsg.Key(key).Name(), version, in.bad, len(in.src),
						len(body), body, req)
				}
				if len(body) > 0 {
					in := wire{src: body[:rnd.IntN(len(body))]}
					if learned.walk(&in, &walked{}); !in.bad {
						t.Fatalf("%s version %d: cut short and not noticed", kmsg.Key(key).Name(), version)
					}
				}
			}
		}
	}
}

// Counts that promise more than there is are found at once, wherever they stand; kmsg alone would
// be busy for minutes.
func TestCountsThatLieCostNothing(t *testing.T) {
	lies := [][]byte{{0xff, 0xff, 0xff, 0xff, 0x0f}, {0xff, 0xff, 0xff, 0x7f}, {0x7f, 0xff, 0xff, 0xff}}
	var known shapes
	began := time.Now()
	for key, a := range apis {
		for version := a.minVersion; version <= a.maxVersion; version++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			body := req.AppendTo(nil)
			for i := range body {
				for _, lie := range lies {
					known.check(key, version, append(body[:i:i], lie...))
				}
			}
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("took %v", took)
	}
}

// FuzzRequest: whatever bytes come as a request of any API and version that is served, decoding
// never panics, and allocates no more than was expected (and a constant for what else goes on).
func FuzzRequest(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for key, a := range apis {
		for version := a.minVersion; version <= a.maxVersion; version++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			Randomise(reflect.ValueOf(req).Elem(), rnd)
			f.Add(key, version, req.AppendTo(nil))
		}
	}
	var known shapes
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		a, ok := apis[key]
		if !ok || !a.serves(version) {
			return
		}
		memory, _, err := known.check(key, version, body)
		if err != nil {
			return
		}
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		req.ReadFrom(body) // an error is a null where there must be none
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(memory+64<<10); got > most {
			t.Fatalf("%s version %d: %d bytes allocated for %d", a.key.Name(), version, got, len(body))
		}
	})
}

// What a request takes in memory is known before it is decoded: for every API, with arrays of
// hundreds of elements.
func TestMemoryOfDecodedRequests(t *testing.T) {
	var s shapes
	for key, a := range apis {
		if a.handle == nil {
			continue // Produce has its own decoder
		}
		for version := a.minVersion; version <= a.maxVersion; version++ {
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			multiply(reflect.ValueOf(req).Elem(), 300)
			body := req.AppendTo(nil)
			memory, _, err := s.check(key, version, body)
			if err != nil {
				t.Fatal(err)
			}
			took := allocated(func() {
				decoded := kmsg.RequestForKey(key)
				decoded.SetVersion(version)
				if err := decoded.ReadFrom(body); err != nil {
					t.Fatal(err)
				}
			})
			if took > memory*allocationFactor {
				t.Errorf("%s version %d of %d bytes: decoding takes %d bytes, and %d were expected", kmsg.Key(key).Name(), version,
					len(body), took, memory)
			}
		}
	}
}

// multiply fills arrays with n elements, and those within with three.
func multiply(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" && name != "UnknownTags" {
				multiply(v.Field(i), n)
			}
		}
	case reflect.String:
		v.SetString("abc")
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("abc"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			v.Index(i).Set(fresh(v.Type().Elem()))
			multiply(v.Index(i), 3)
		}
	}
}

// allocated is how much a function allocates, at the least of some tries: others may allocate at
// the same time.
func allocated(do func()) int64 {
	least := int64(math.MaxInt64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		least = min(least, int64(after.TotalAlloc-before.TotalAlloc))
	}
	return least
}
