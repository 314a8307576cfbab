package model

import (
	"reflect"
	"testing"
)

func TestStateHasNoPadding(t *testing.T) {
	var size func(t reflect.Type) uintptr
	size = func(t reflect.Type) uintptr {
		switch t.Kind() {
		case reflect.Struct:
			sum := uintptr(0)
			for f := range t.Fields() {
				sum += size(f.Type)
			}
			return sum
		case reflect.Array:
			return uintptr(t.Len()) * size(t.Elem())
		}
		return t.Size()
	}
	if typ := reflect.TypeFor[State](); size(typ) != typ.Size() {
		t.Errorf("State takes %d bytes, its fields %d", typ.Size(), size(typ))
	}
}
