package quota

import "errors"

// Filter selects entities by their parts, as Kafka's ClientQuotaFilter does.
type Filter struct {
	Parts  map[string]Part // by type; an entity has to have each
	Strict bool            // and no others
}

// Part is what a filter asks of one part of an entity: that it is Name, or that it is there.
type Part struct {
	Name
	Any bool
}

// Valid refuses a filter that Kafka refuses.
func (f Filter) Valid() error {
	if _, ip := f.Parts[ipType]; ip && len(f.Parts) > 1 {
		return errors.New("an ip is asked for alone, without a user or a client id")
	}
	return nil
}

// Matches reports whether the filter selects an entity.
func (f Filter) Matches(e Entity) bool {
	for _, kind := range Types {
		part := *e.Part(kind)
		asked, is := f.Parts[kind]
		switch {
		case !is && part.Set() && f.Strict, is && !part.Set():
			return false
		case is && !asked.Any && part != asked.Name:
			return false
		}
	}
	return true
}
