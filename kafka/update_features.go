package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
	"firn.dev/coordinator"
)

// UpdateFeatures, versions 0 to 2, as Kafka 4: all updates of a request or none. The level of
// transaction.version can be lowered, to have clients that know KIP-890 do as if they did not, and
// raised again. It is what ApiVersions tells clients, and no more: each request is served by its
// own version. Other features are at their highest level.
func init() {
	register(0, 2, updateFeatures, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

// feature is a feature as ApiVersions tells it (KIP-584). Level 0 is to be without it.
type feature struct {
	name            string
	lowest, highest int16
}

// features are those that mean something here: group.version 1 is the consumer protocol (KIP-848),
// share.version 1 share groups (KIP-932), transaction.version 2 the second part of KIP-890; 1 is as
// 0.
var features = []feature{{"group.version", 1, 1}, {"share.version", 1, 1}, {"transaction.version", 0, 2}}

// key is that of the setting, as coordinator/security/FORMAT.md has it.
func (f *feature) key() string {
	key, _ := json.Marshal([]string{f.name}) // strings: it cannot fail
	return string(key)
}

// level is the finalized one.
func (f *feature) level(view *coordinator.View) int16 {
	value, _ := view.Setting(coordinator.FeatureSetting, f.key())
	level, err := strconv.ParseInt(value, 10, 16)
	if err != nil || level > int64(f.highest) {
		return f.highest // nobody has set it, or a later version of firn has
	}
	return max(int16(level), f.lowest)
}

// What an update says it is (KIP-778).
const (
	upgrade int8 = 1 + iota
	safeDowngrade
	unsafeDowngrade
)

func updateFeatures(ctx context.Context, s *Server, from *peer,
	req *kmsg.UpdateFeaturesRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	refused := from.mayWithCluster(access.Alter)
	var changes []coordinator.Setting
	seen := map[string]bool{}
	for i := 0; i < len(req.FeatureUpdates) && refused == nil; i++ {
		u := &req.FeatureUpdates[i]
		if seen[u.Feature] {
			refused = refuse(kerr.InvalidRequest, "feature %s twice", u.Feature)
			break
		}
		seen[u.Feature] = true
		var change *coordinator.Setting
		if change, refused = s.updateFeature(u, req.Version); change != nil {
			changes = append(changes, *change)
		}
	}
	if refused == nil && !req.ValidateOnly && len(changes) > 0 {
		_, err := s.opts.Node.Change(ctx, coordinator.Change{Settings: changes})
		refused = s.refusalOf(err)
		for _, c := range changes {
			from.changed("UpdateFeatures", fmt.Sprintf("%s to level %s", c.Key, c.Value), refused)
		}
	}
	resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text() // for all; none was changed
	if refused == nil && req.Version <= 1 {
		for i := range req.FeatureUpdates {
			resp.Results = append(resp.Results, kmsg.UpdateFeaturesResponseResult{Feature: req.FeatureUpdates[i].Feature})
		}
	}
	return resp, nil
}

// updateFeature is the change that an update asks for; nil if there is nothing to change.
func (s *Server) updateFeature(u *kmsg.UpdateFeaturesRequestFeatureUpdate,
	version int16) (*coordinator.Setting, *refusal) {
	kind := u.UpgradeType
	if version == 0 { // it had a field that allowed a downgrade
		if kind = upgrade; u.AllowDowngrade {
			kind = safeDowngrade
		}
	}
	for i := range features {
		f := &features[i]
		if f.name != u.Feature {
			continue
		}
		now := f.level(s.opts.Node.View())
		switch level := u.MaxVersionLevel; {
		case kind < upgrade || kind > unsafeDowngrade:
			return nil, refuse(kerr.InvalidUpdateVersion, "%s: upgrade type %d: 1 is an upgrade, 2 and 3 are downgrades",
				f.name, kind)
		case level < f.lowest || level > f.highest:
			return nil, refuse(kerr.InvalidUpdateVersion, "%s at level %d: levels are %d to %d", f.name, level, f.lowest,
				f.highest)
		case level < now && kind == upgrade:
			return nil, refuse(kerr.InvalidUpdateVersion, "%s is at level %d: a lower one has to be asked for as a downgrade",
				f.name, now)
		case level > now && kind != upgrade:
			return nil, refuse(kerr.InvalidUpdateVersion, "%s is at level %d: a higher one is no downgrade", f.name, now)
		case level != now:
			return &coordinator.Setting{Kind: coordinator.FeatureSetting, Key: f.key(),
				Value: strconv.Itoa(int(level))}, nil
		}
		return nil, nil
	}
	return nil, refuse(kerr.InvalidUpdateVersion, "there is no feature %q", u.Feature)
}
