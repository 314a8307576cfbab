package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// UpdateFeatures, versions 0 to 2, as Kafka 4. The levels of features follow from the program and
// are finalized as they are: an update to the level that there is changes nothing, and any other is
// INVALID_UPDATE_VERSION.
func init() {
	register(0, 2, updateFeatures, rules{
		needs: []access.Need{access.Alter.On(access.Cluster)}, quota: access.Requests})
}

// feature is a feature as ApiVersions tells it (KIP-584).
type feature struct {
	name             string
	lowest, level    int16 // that are supported; the highest is finalized
	finalizedMinimum int16
}

// features are those that mean something here: group.version 1 is the consumer protocol (KIP-848),
// transaction.version 2 the second part of KIP-890.
var features = []feature{{"group.version", 0, 1, 1}, {"transaction.version", 0, 2, 2}}

// featuresEpoch never changes: neither do the levels while a program runs.
const featuresEpoch = 0

func updateFeatures(_ context.Context, _ *Server, from *peer,
	req *kmsg.UpdateFeaturesRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	if refused := from.mayWithCluster(access.Alter); refused != nil {
		resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text()
		return resp, nil
	}
	for i := range req.FeatureUpdates {
		u := &req.FeatureUpdates[i]
		refused := checkFeature(u.Feature, u.MaxVersionLevel)
		if refused != nil && req.Version >= 2 {
			resp.ErrorCode, resp.ErrorMessage = refused.code(), refused.text() // for all; none was changed
			break
		}
		resp.Results = append(resp.Results, kmsg.UpdateFeaturesResponseResult{
			Feature: u.Feature, ErrorCode: refused.code(), ErrorMessage: refused.text()})
	}
	return resp, nil
}

func checkFeature(name string, level int16) *refusal {
	for _, f := range features {
		if f.name == name {
			if level == f.level {
				return nil
			}
			return refuse(
				kerr.InvalidUpdateVersion,
				"%s is at level %d, which follows from the version of firn",
				name,
				f.level,
			)
		}
	}
	return refuse(kerr.InvalidUpdateVersion, "there is no feature %q", name)
}
