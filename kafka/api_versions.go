package kafka

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/access"
)

// ApiVersions v0-v5: what is served, from the register, and the levels of features.
//
//   - A version that is not served is answered in v0 with UNSUPPORTED_VERSION and the list, as
//     KIP-511 has it.
//   - A client that means another cluster gets REBOOTSTRAP_REQUIRED (KIP-1242). One that
//     means another node is served, unlike by Kafka: any node serves it, and several may be behind
//     one address.
func init() {
	register(
		0,
		5,
		func(_ context.Context, s *Server, from *peer, req *kmsg.ApiVersionsRequest) (kmsg.Response, error) {
			if req.Version >= 3 {
				if !validSoftware(req.ClientSoftwareName) || !validSoftware(req.ClientSoftwareVersion) {
					return s.apiVersions(kerr.InvalidRequest.Code), nil
				}
				from.Software = req.ClientSoftwareName + " " + req.ClientSoftwareVersion
			}
			if (req.ClusterID == nil) != (req.NodeID < 0) {
				return s.apiVersions(kerr.InvalidRequest.Code), nil
			}
			if req.ClusterID != nil && *req.ClusterID != s.opts.Node.View().ClusterID() {
				return s.apiVersions(kerr.RebootstrapRequired.Code), nil
			}
			return s.apiVersions(0), nil
		},
		rules{open: true, quota: access.Unthrottled},
	)
}

// produceMinAnnounced is the lowest Produce version that ApiVersions names, although v3 is the
// lowest served. Brokers 4.x do the same: librdkafka before 2.9 looks at it to decide whether a
// broker knows compression (KAFKA-18659).
const produceMinAnnounced = 0

func (s *Server) apiVersions(code int16) *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = code
	if code == kerr.InvalidRequest.Code || code == kerr.RebootstrapRequired.Code {
		return resp
	}
	view := s.opts.Node.View()
	resp.FinalizedFeaturesEpoch = int64(view.SettingsFact()) // first: the levels are at least of then
	for i := range features {
		f := &features[i]
		resp.SupportedFeatures = append(resp.SupportedFeatures, kmsg.ApiVersionsResponseSupportedFeature{
			Name: f.name, MaxVersion: f.highest})
		if level := f.level(view); level > 0 {
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, kmsg.ApiVersionsResponseFinalizedFeature{
				Name: f.name, MinVersionLevel: level, MaxVersionLevel: level})
		}
	}
	for _, a := range apis {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = a.key.Int16(), a.minVersion, a.maxVersion
		if a.key == kmsg.Produce {
			k.MinVersion = produceMinAnnounced
		}
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	slices.SortFunc(
		resp.ApiKeys,
		func(a, b kmsg.ApiVersionsResponseApiKey) int { return cmp.Compare(a.ApiKey, b.ApiKey) },
	)
	return resp
}

// validSoftware follows KIP-511: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
func validSoftware(name string) bool {
	alphanumeric := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	if len(name) == 0 || len(name) > 256 || !alphanumeric(name[0]) || !alphanumeric(name[len(name)-1]) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !alphanumeric(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
