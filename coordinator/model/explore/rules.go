package explore

import (
	"fmt"
	"reflect"
	"strings"
)

// A set of rules is a struct of bools. The tag of each says what the rule is.

// All are all rules of a set.
func All[R any]() (r R) {
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		v.Field(i).SetBool(true)
	}
	return r
}

// Without are all rules but some.
func Without[R any](names ...string) R {
	r := All[R]()
	for _, name := range names {
		f := reflect.ValueOf(&r).Elem().FieldByName(name)
		if !f.IsValid() {
			panic(fmt.Sprintf("explore: there is no rule %q", name))
		}
		f.SetBool(false)
	}
	return r
}

// RuleNames are the names of all rules.
func RuleNames[R any]() []string {
	var names []string
	for f := range reflect.TypeFor[R]().Fields() {
		names = append(names, f.Name)
	}
	return names
}

// Say says what a rule is.
func Say[R any](name string) string {
	f, found := reflect.TypeFor[R]().FieldByName(name)
	if !found {
		return strings.ToLower(name)
	}
	return f.Tag.Get("rule")
}
