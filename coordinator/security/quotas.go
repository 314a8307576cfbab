package security

import (
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"firn.dev/access/quota"
	"firn.dev/coordinator"
)

// Quotas are those that the view shows when it is asked: a change holds for the next request of
// every client. They count what clients use.
type Quotas struct {
	*quota.Limits
	view   *coordinator.View
	logger *slog.Logger

	mu      sync.Mutex // held while current is replaced
	current atomic.Pointer[quotas]
}

// quotas are those of one version of the settings.
type quotas struct {
	version uint64
	limits  []quota.Limit // ordered by entity, then by name
	table   *quota.Table
}

// NewQuotas returns the quotas of a view. The logger hears of those that cannot be understood.
func NewQuotas(view *coordinator.View, logger *slog.Logger) *Quotas {
	q := &Quotas{view: view, logger: logger}
	q.Limits = quota.NewLimits(func() *quota.Table { return q.now().table })
	return q
}

// All are all quotas. They are not to be changed.
func (q *Quotas) All() []quota.Limit { return q.now().limits }

func (q *Quotas) now() *quotas {
	if now := q.current.Load(); now != nil && now.version == q.view.SettingsVersion() {
		return now
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := q.current.Load(); now != nil && now.version == q.view.SettingsVersion() {
		return now // another request was first
	}
	now := q.read()
	q.current.Store(now)
	return now
}

// read reads the quotas, but for those that it does not understand: a newer firn has set them.
func (q *Quotas) read() *quotas {
	settings, version := q.view.Settings(coordinator.QuotaSetting)
	now := &quotas{version: version}
	for key, value := range settings {
		limit, err := quota.ParseKey(key)
		if err == nil {
			if err = json.Unmarshal([]byte(value), &limit.Value); err == nil {
				err = limit.Valid()
			}
		}
		if err != nil {
			q.logger.Error("a quota in the bucket cannot be understood, and limits nobody; "+
				"is this firn older than the one that wrote it?", "quota", key, "value", value, "error", err)
			continue
		}
		now.limits = append(now.limits, limit)
	}
	slices.SortFunc(now.limits, func(a, b quota.Limit) int {
		if by := a.Compare(b.Entity); by != 0 {
			return by
		}
		return int(a.Of - b.Of)
	})
	now.table = quota.NewTable(now.limits)
	return now
}

// Set is the change that sets limits. They are Valid.
func (q *Quotas) Set(limits []quota.Limit) ([]coordinator.Setting, error) {
	var changes []coordinator.Setting
	for _, l := range limits {
		value, err := json.Marshal(l.Value)
		if err != nil {
			return nil, err
		}
		changes = append(changes,
			coordinator.Setting{Kind: coordinator.QuotaSetting, Key: l.Key(), Value: string(value)})
	}
	return changes, nil
}

// Remove is the change that takes limits away, whatever their values are.
func (q *Quotas) Remove(limits []quota.Limit) (changes []coordinator.Setting) {
	for _, l := range limits {
		changes = append(changes, coordinator.Setting{Kind: coordinator.QuotaSetting, Key: l.Key(), Deleted: true})
	}
	return changes
}
