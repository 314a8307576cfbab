package security

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"time"

	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/retry"
)

// secretKey is the key of the cluster's secret. It is a setting of users, because it is what nodes
// prove themselves with, and as secret. Nodes that do not know of it take it for no user.
const secretKey = `["cluster-secret"]`

// Secret is the secret of the cluster that a view shows; nil if there is none yet.
func Secret(view *coordinator.View) login.ClusterSecret {
	return func() []byte {
		value, _ := view.Setting(coordinator.UserSetting, secretKey)
		secret, err := base64.StdEncoding.DecodeString(value)
		if err != nil || len(secret) < login.MinSecretBytes {
			return nil
		}
		return secret
	}
}

// Node is what changing settings needs of this process's membership.
type Node interface {
	Change(ctx context.Context, change coordinator.Change) (coordinator.Fact, error)
	CatchUp(ctx context.Context) error
	View() *coordinator.View
}

// Attempts to make a secret, while the coordinator cannot be reached.
var makeSecretBackoff = retry.Backoff{First: time.Second, Most: time.Minute}

// MakeSecret makes the cluster's secret, unless it has one. If two nodes make one at once, both end
// up with the one that was decided last. It returns when there is one, or when ctx ends.
func MakeSecret(ctx context.Context, node Node, logger *slog.Logger) {
	for n := 0; ctx.Err() == nil; n++ {
		err := makeSecret(ctx, node)
		if err == nil || ctx.Err() != nil {
			return
		}
		if retry.Told(n) {
			logger.Warn("the secret of the cluster cannot be made yet", "error", err)
		}
		if makeSecretBackoff.Pause(ctx, n) != nil {
			return
		}
	}
}

func makeSecret(ctx context.Context, node Node) error {
	if err := node.CatchUp(ctx); err != nil {
		return err
	}
	if Secret(node.View())() != nil {
		return nil
	}
	secret := make([]byte, login.MinSecretBytes)
	rand.Read(secret) // never fails
	_, err := node.Change(ctx, coordinator.Change{Settings: []coordinator.Setting{{Kind: coordinator.UserSetting,
		Key: secretKey, Value: base64.StdEncoding.EncodeToString(secret)}}})
	return err
}
