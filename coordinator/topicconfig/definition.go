package topicconfig

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a config, as DescribeConfigs names it.
type Type int8

// The types of Kafka's topic configs, with the numbers of its protocol.
const (
	Boolean Type = 1
	String  Type = 2
	Int     Type = 3
	Long    Type = 5
	Double  Type = 6
	List    Type = 7
)

func (t Type) String() string {
	switch t {
	case Boolean:
		return "boolean"
	case String:
		return "string"
	case Int:
		return "int"
	case Long:
		return "long"
	case Double:
		return "double"
	case List:
		return "list"
	}
	return fmt.Sprintf("type %d", int8(t))
}

// Effect says what setting a config does.
type Effect uint8

const (
	// Honoured configs do what they do in Kafka.
	Honoured Effect = iota
	// Meaningless configs are checked and kept, and that is all: what they are about does not exist in
	// Firn, or is so always.
	Meaningless
)

func (e Effect) String() string {
	switch e {
	case Honoured:
		return "honoured"
	case Meaningless:
		return "no meaning"
	}
	return fmt.Sprintf("effect %d", uint8(e))
}

// Definition describes one config.
type Definition struct {
	Name          string
	Default       string
	Effect        Effect
	Synonym       string // the broker config that gives the default, in Kafka; empty if there is none
	Documentation string // for people; it says so if setting the config does nothing
	rule
}

// rule is how a config's value is read.
type rule struct {
	Type  Type
	Valid string // the values allowed, for people; empty if the type says it all

	// parse reads a trimmed value, and keeps it in c if Config has a field for it. After an error c is
	// as before.
	parse func(c *Config, value string) error
}

// All returns every definition, ordered by name.
func All() []Definition { return slices.Clone(table) }

// Lookup returns the definition of a config; false if Kafka knows none of that name.
func Lookup(name string) (Definition, bool) {
	d, ok := byName[name]
	if !ok {
		return Definition{}, false
	}
	return *d, true
}

var (
	errNotInt     = errors.New("is not a whole number that fits into 32 bits")
	errNotLong    = errors.New("is not a whole number that fits into 64 bits")
	errNotDouble  = errors.New("is not a number")
	errNotBoolean = errors.New(`is neither "true" nor "false"`)
	errEmptyItem  = errors.New("has an empty item in its list")
)

// number is a whole number from least to most. A nil field means that nothing reads it.
func number[N int32 | int64](least, most N, field func(*Config) *N) rule {
	r := rule{Type: Int, Valid: fmt.Sprintf("%d to %d", least, most)}
	wrong, bits := errNotInt, 32
	top := int64(math.MaxInt32)
	if _, long := any(least).(int64); long {
		r.Type, wrong, bits, top = Long, errNotLong, 64, math.MaxInt64
	}
	switch {
	case int64(most) == top && int64(least) == math.MinInt64:
		r.Valid = ""
	case int64(most) == top:
		r.Valid = fmt.Sprintf("at least %d", least)
	}
	r.parse = func(c *Config, value string) error {
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil {
			return wrong
		}
		if N(n) < least || N(n) > most {
			return fmt.Errorf("is not allowed: %s", r.Valid)
		}
		if field != nil {
			*field(c) = N(n)
		}
		return nil
	}
	return r
}

// integer is a 32-bit number of at least least.
func integer(least int32, field func(*Config) *int32) rule {
	return number(least, math.MaxInt32, field)
}

// long is a 64-bit number of at least least.
func long(least int64, field func(*Config) *int64) rule { return number(least, math.MaxInt64, field) }

// orElse also allows one number that lies outside the rule's range. Nothing reads those that there
// are.
func orElse(other int32, r rule) rule {
	within := r.parse
	r.Valid = fmt.Sprintf("%s, or %d", r.Valid, other)
	r.parse = func(c *Config, value string) error {
		if value == strconv.Itoa(int(other)) {
			return nil
		}
		if err := within(c, value); err != nil {
			return fmt.Errorf("is not allowed: %s", r.Valid)
		}
		return nil
	}
	return r
}

// ratio is a number from 0 to 1.
func ratio(field func(*Config) *float64) rule {
	const valid = "0 to 1"
	return rule{Double, valid, func(c *Config, value string) error {
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return errNotDouble
		}
		if !(f >= 0 && f <= 1) {
			return fmt.Errorf("is not allowed: %s", valid)
		}
		*field(c) = f
		return nil
	}}
}

// boolean is true or false, in any case. Nothing reads those that there are.
func boolean() rule {
	return rule{Boolean, "", func(_ *Config, value string) error {
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return errNotBoolean
		}
		return nil
	}}
}

// oneOf is one of some words.
func oneOf(set func(*Config, string), words ...string) rule {
	valid := strings.Join(words, ", ")
	return rule{String, valid, func(c *Config, value string) error {
		if !slices.Contains(words, value) {
			return fmt.Errorf("is not one of %s", valid)
		}
		set(c, value)
		return nil
	}}
}

// someOf is a list of some words; it may be empty.
func someOf(set func(*Config, []string), words ...string) rule {
	valid := "any of " + strings.Join(words, ", ")
	return rule{List, valid, func(c *Config, value string) error {
		items := SplitList(value)
		for _, item := range items {
			switch {
			case item == "":
				return errEmptyItem
			case !slices.Contains(words, item):
				return fmt.Errorf("is not %s", valid)
			}
		}
		set(c, items)
		return nil
	}}
}

// throttled is a list of partition:broker, or "*" for all.
func throttled() rule {
	const valid = "* or a list of partition:broker"
	return rule{List, valid, func(_ *Config, value string) error {
		if value == "*" {
			return nil
		}
		for _, item := range SplitList(value) {
			partition, broker, _ := strings.Cut(item, ":")
			_, errPartition := strconv.ParseUint(partition, 10, 31)
			_, errBroker := strconv.ParseUint(broker, 10, 31)
			if errPartition != nil || errBroker != nil {
				return fmt.Errorf("is not %s", valid)
			}
		}
		return nil
	}}
}

// SplitList returns the items of a list config's value.
func SplitList(value string) []string {
	if strings.TrimSpace(value) == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}
