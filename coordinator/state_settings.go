package coordinator

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
)

// Settings set or delete what everybody has to go by and no topic has: users, ACLs, quotas,
// features, configs. For each key the highest Version stands.
type Settings struct {
	Version uint64 // grows with each fact
	Time    int64  // when it was decided, in milliseconds by the coordinator's clock
	Changes []Setting
}

// Setting is one key and what stands for it. What keys and values say is known to who sets them.
type Setting struct {
	Kind    SettingKind
	Key     string
	Value   string // empty if Deleted
	Deleted bool
}

// SettingKind says what a setting is about.
type SettingKind byte

// The kinds of settings, as FORMAT.md numbers them.
const (
	UserSetting  SettingKind = 1 // what a user proves itself with: values are secret
	ACLSetting   SettingKind = 2
	QuotaSetting SettingKind = 3
	// FeatureSetting is the level of a feature, as UpdateFeatures sets it.
	FeatureSetting SettingKind = 4
	// ConfigSetting is a config of a group, a broker or a subscription to clients' metrics.
	ConfigSetting SettingKind = 5

	lastSetting = ConfigSetting
)

func (k SettingKind) String() string {
	return [...]string{"?", "user", "acl", "quota", "feature", "config"}[min(k, lastSetting+1)%(lastSetting+1)]
}

// MaxSettings bounds the settings of one change, MaxSettingBytes a key and a value, each.
const (
	MaxSettings     = 1000
	MaxSettingBytes = 4 << 10
)

// validateSettings refuses what would hold a coordinator up, or could not be read again.
func validateSettings(changes []Setting) error {
	if len(changes) > MaxSettings {
		return fmt.Errorf("%w: %d settings in one change, at most %d are allowed", ErrMalformed, len(changes), MaxSettings)
	}
	seen := map[settingKey]bool{}
	for _, s := range changes {
		at := settingKey{s.Kind, s.Key}
		switch {
		case s.Kind < UserSetting || s.Kind > lastSetting:
			return fmt.Errorf("%w: setting of kind %d", ErrMalformed, s.Kind)
		case len(s.Key) > MaxSettingBytes || len(s.Value) > MaxSettingBytes:
			return fmt.Errorf("%w: a key or value of a setting has more than %d bytes", ErrMalformed, MaxSettingBytes)
		case s.Deleted && s.Value != "":
			return fmt.Errorf("%w: a setting is deleted, and has a value", ErrMalformed)
		case seen[at]:
			return fmt.Errorf("%w: %s %q twice in one change", ErrMalformed, s.Kind, s.Key)
		}
		seen[at] = true
	}
	return nil
}

// NewSettings makes the fact that a change of settings becomes, without what the coordinator adds:
// version and time.
func NewSettings(changes []Setting) (*Settings, error) {
	if err := validateSettings(changes); err != nil {
		return nil, err
	}
	return &Settings{Changes: slices.SortedFunc(slices.Values(changes), func(a, b Setting) int {
		return compareSettingKeys(settingKey{a.Kind, a.Key}, settingKey{b.Kind, b.Key})
	})}, nil
}

type settingKey struct {
	kind SettingKind
	key  string
}

func compareSettingKeys(a, b settingKey) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
}

// settings are those of a State. Deletions leave a trace, as those of committed offsets do.
type settings struct {
	version uint64 // the highest of any fact
	byKey   map[settingKey]setting
}

type setting struct {
	version uint64
	time    int64
	value   string
	deleted bool
}

func (s settings) clone() settings { return settings{s.version, maps.Clone(s.byKey)} }

func (s *settings) apply(f *Settings) {
	s.version = max(s.version, f.Version)
	for _, c := range f.Changes {
		at := settingKey{c.Kind, c.Key}
		if old, known := s.byKey[at]; known && old.version >= f.Version {
			continue
		}
		if s.byKey == nil {
			s.byKey = map[settingKey]setting{}
		}
		s.byKey[at] = setting{f.Version, f.Time, c.Value, c.Deleted}
	}
}

// forget takes away the traces of deletions that were decided before a time.
func (s *settings) forget(before int64) {
	maps.DeleteFunc(s.byKey, func(_ settingKey, v setting) bool { return v.deleted && v.time < before })
}

func (s *settings) newest() int64 {
	millis := int64(math.MinInt64)
	for _, v := range s.byKey {
		millis = max(millis, v.time)
	}
	return millis
}

func (s *settings) sorted() []settingKey {
	return slices.SortedFunc(maps.Keys(s.byKey), compareSettingKeys)
}

// of yields the settings of a kind that are not deleted, in no order.
func (s *settings) of(kind SettingKind) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for at, v := range s.byKey {
			if at.kind == kind && !v.deleted && !yield(at.key, v.value) {
				return
			}
		}
	}
}

// SettingsVersion is the highest version of a Settings fact so far: a coordinator that loads the
// state counts on from here.
func (s *State) SettingsVersion() uint64 { return s.settings.version }

// SettingsVersion changes whenever settings do. It is cheap to ask.
func (v *View) SettingsVersion() uint64 { return v.settingsChanged.Load() }

// SettingsFact is the highest version of a Settings fact that is confirmed. It grows on all nodes
// alike.
func (v *View) SettingsFact() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.state.SettingsVersion()
}

// Settings returns the settings of a kind by their keys, and the SettingsVersion that they are at
// least of.
func (v *View) Settings(kind SettingKind) (byKey map[string]string, version uint64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return maps.Collect(v.state.settings.of(kind)), v.settingsChanged.Load()
}

// SettingsCount is how many settings of a kind there are.
func (v *View) SettingsCount(kind SettingKind) (n int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for range v.state.settings.of(kind) {
		n++
	}
	return n
}

// Setting returns what stands for a key; false if there is none.
func (v *View) Setting(kind SettingKind, key string) (value string, set bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	found, known := v.state.settings.byKey[settingKey{kind, key}]
	return found.value, known && !found.deleted
}

// appendSettings appends what is behind a fact's incarnation.
func appendSettings(dst []byte, f *Settings) []byte {
	dst = binary.BigEndian.AppendUint64(dst, f.Version)
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.Time))
	dst = binary.AppendUvarint(dst, uint64(len(f.Changes)))
	for _, c := range f.Changes {
		dst = appendSettingKey(dst, settingKey{c.Kind, c.Key})
		dst = appendString(appendBool(dst, c.Deleted), c.Value)
	}
	return dst
}

func (d *decoder) settings() *Settings {
	f := &Settings{Version: d.uint64(), Time: int64(d.uint64())}
	for i, n := 0, d.count(4); i < n && d.err == nil; i++ {
		at := d.settingKey()
		f.Changes = append(f.Changes, Setting{Kind: at.kind, Key: at.key, Deleted: d.bool(), Value: d.string()})
	}
	return f
}

func appendSettingKey(dst []byte, at settingKey) []byte {
	return appendString(append(dst, byte(at.kind)), at.key)
}

func (d *decoder) settingKey() settingKey {
	kind := SettingKind(d.byte())
	switch {
	case d.err != nil:
	case kind == 0:
		d.fail("setting of kind 0")
	case kind > lastSetting:
		d.err = fmt.Errorf("%w: setting of kind %d", ErrNewer, kind)
	}
	return settingKey{kind, d.string()}
}

// appendAllSettings appends the settings of a snapshot.
func appendAllSettings(b []byte, s *settings) []byte {
	b = binary.AppendUvarint(b, s.version)
	b = binary.AppendUvarint(b, uint64(len(s.byKey)))
	for _, at := range s.sorted() {
		v := s.byKey[at]
		b = appendSettingKey(b, at)
		b = binary.AppendUvarint(b, v.version)
		b = binary.AppendVarint(b, v.time)
		b = appendString(appendBool(b, v.deleted), v.value)
	}
	return b
}

func (d *decoder) allSettings() (s settings) {
	s.version = d.uvarint()
	n := d.count(6)
	if n > 0 {
		s.byKey = make(map[settingKey]setting, min(n, 1024))
	}
	for i := 0; i < n && d.err == nil; i++ {
		at := d.settingKey()
		if _, twice := s.byKey[at]; twice {
			d.fail("%s %q twice", at.kind, at.key)
		}
		s.byKey[at] = setting{version: d.uvarint(), time: d.varint(), deleted: d.bool(), value: d.string()}
	}
	return s
}

// settingText is what people are shown of a setting: of a user, not what it proves itself with.
func settingText(at settingKey, value string, deleted bool) string {
	switch {
	case deleted:
		value = "deleted"
	case at.kind == UserSetting:
		value = fmt.Sprintf("%d bytes, not shown", len(value))
	}
	return fmt.Sprintf("%s %q: %s", at.kind, at.key, value)
}
