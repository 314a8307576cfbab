package explore

import "reflect"

// Padding returns how many bytes of a state belong to none of its fields. What is in them is
// nowhere said, so there must be none.
func Padding[S any]() uintptr {
	typ := reflect.TypeFor[S]()
	return typ.Size() - size(typ)
}

func size(t reflect.Type) uintptr {
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
