package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"firn.dev/access"
	"firn.dev/access/quota"
)

func newQuota(s streams) *cobra.Command {
	return ofServer(s, "quota", "List, set and remove quotas: how much clients may use",
		newQuotaList, newQuotaSet, newQuotaRemove)
}

// quotaFlags name whom a quota is for.
type quotaFlags struct {
	user, clientID, ip                      string
	defaultUser, defaultClientID, defaultIP bool
}

func (q *quotaFlags) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.user, "user", "", "`name` of a user")
	f.StringVar(&q.clientID, "client-id", "", "`name` that clients give themselves")
	f.StringVar(&q.ip, "ip", "", "`address` of clients")
	f.BoolVar(&q.defaultUser, "user-default", false, "each user that has no quota of its own")
	f.BoolVar(&q.defaultClientID, "client-id-default", false, "each client id that has no quota of its own")
	f.BoolVar(&q.defaultIP, "ip-default", false, "each address that has no quota of its own")
}

// entity is whom the flags name.
func (q *quotaFlags) entity() (e quota.Entity, err error) {
	for _, part := range []struct {
		to       *quota.Name
		flag     string
		name     string
		defaults bool
	}{{&e.User, "user", q.user, q.defaultUser}, {&e.ClientID, "client-id", q.clientID, q.defaultClientID},
		{&e.IP, "ip", q.ip, q.defaultIP}} {
		switch {
		case part.name != "" && part.defaults:
			return e, usagef("give one of --%s and --%s-default", part.flag, part.flag)
		case part.defaults:
			*part.to = quota.Default
		case part.name != "":
			*part.to = quota.Named(part.name)
		}
	}
	if e == (quota.Entity{}) {
		return e, usagef("for whom? Give --user, --client-id, both, or --ip; or --user-default and so on")
	}
	if err := e.Valid(); err != nil {
		return e, usagef("%w", err)
	}
	return e.Canonical(), nil
}

// kadmEntity is an entity as kadm has it.
func kadmEntity(e quota.Entity) (parts kadm.ClientQuotaEntity) {
	for _, kind := range quota.Types {
		if part := *e.Part(kind); part.Set() {
			parts = append(parts, kadm.ClientQuotaEntityComponent{Type: kind, Name: part.Text()})
		}
	}
	return parts
}

// parseQuota reads NAME=VALUE. Rates of bytes may have a unit.
func parseQuota(e quota.Entity, text string) (l quota.Limit, err error) {
	name, value, _ := strings.Cut(text, "=")
	l = quota.Limit{Entity: e, Of: access.ParseQuota(name)}
	if l.Of == 0 || value == "" {
		return l, usagef("%q is not NAME=VALUE with one of the names %s", text, strings.Join(quota.Names(e), ", "))
	}
	if l.Of == access.ProducedBytes || l.Of == access.FetchedBytes {
		var bytes byteSize
		if err := bytes.Set(strings.TrimSuffix(value, "/s")); err != nil {
			return l, usagef("%s: %w", name, err)
		}
		l.Value = float64(bytes)
	} else if l.Value, err = strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64); err != nil {
		return l, usagef("%s: %q is not a number", name, value)
	}
	if err := l.Valid(); err != nil {
		return l, usagef("%w", err)
	}
	return l, nil
}

// quotaText is a limit's value as people read it.
func quotaText(of access.Quota, value float64) string {
	switch of {
	case access.ProducedBytes, access.FetchedBytes:
		bytes := byteSize(value)
		return bytes.String() + "/s"
	case access.Requests:
		return strconv.FormatFloat(value, 'f', -1, 64) + "%"
	}
	return strconv.FormatFloat(value, 'f', -1, 64) + "/s"
}

// listedQuota is a quota as it is printed. Of whom it is for, null is the default.
type listedQuota struct {
	For   quotaEntity `json:"for"`
	Quota string      `json:"quota"`
	Value quotaValue  `json:"value"`
}

// quotaEntity is whom a quota is for.
type quotaEntity struct{ quota.Entity }

// MarshalJSON writes {"user": "alice", "client-id": null}.
func (e quotaEntity) MarshalJSON() ([]byte, error) {
	parts := map[string]*string{}
	for _, kind := range quota.Types {
		if part := *e.Part(kind); part.Set() {
			parts[kind] = part.Text()
		}
	}
	return json.Marshal(parts)
}

// quotaValue is a number, whose unit its name gives.
type quotaValue struct {
	of    access.Quota
	value float64
}

// MarshalJSON writes the number.
func (v quotaValue) MarshalJSON() ([]byte, error) { return json.Marshal(v.value) }

func (v quotaValue) String() string { return quotaText(v.of, v.value) }

func newQuotaList(s streams, b *bootstrap) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all quotas, one a line",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			limits, err := listQuotas(ctx, adm)
			if err != nil {
				return err
			}
			list := []listedQuota{}
			for _, l := range limits {
				list = append(list, listedQuota{quotaEntity{l.Entity}, l.Of.String(), quotaValue{l.Of, l.Value}})
			}
			return form.print(s.Out, list)
		},
	}
	form.addFlag(cmd)
	return cmd
}

// listQuotas asks for all quotas, ordered by whom they are for.
func listQuotas(ctx context.Context, adm *kadm.Client) (limits []quota.Limit, err error) {
	described, err := adm.DescribeClientQuotas(ctx, false, nil)
	if err != nil {
		return nil, err
	}
	for _, d := range described {
		var e quota.Entity
		for _, part := range d.Entity {
			if at := e.Part(part.Type); at != nil {
				*at = quota.NameOf(part.Name)
			}
		}
		for _, v := range d.Values {
			limits = append(limits, quota.Limit{Entity: e, Of: access.ParseQuota(v.Key), Value: v.Value})
		}
	}
	slices.SortFunc(limits, func(a, b quota.Limit) int {
		return cmp.Or(a.Compare(b.Entity), cmp.Compare(a.Of, b.Of))
	})
	return limits, nil
}

func newQuotaSet(s streams, b *bootstrap) *cobra.Command {
	var flags quotaFlags
	cmd := &cobra.Command{
		Use:   "set --user NAME QUOTA=VALUE...",
		Short: "Set quotas of a user, a client id, both together, or an address",
		Long: "Set quotas of a user, a client id, both together, or an address. Users and client ids have\n" +
			"producer_byte_rate and consumer_byte_rate (bytes a second, such as 10MiB), request_percentage (of a core)\n" +
			"and controller_mutation_rate (partitions created or deleted a second); addresses have\n" +
			"connection_creation_rate. Each node counts for itself.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("which quota? Give one or more of NAME=VALUE, such as producer_byte_rate=10MiB")
			}
			return nil
		},
	}
	flags.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := flags.entity()
		if err != nil {
			return err
		}
		entry := kadm.AlterClientQuotaEntry{Entity: kadmEntity(e)}
		var set []string
		for _, text := range args {
			l, err := parseQuota(e, text)
			if err != nil {
				return err
			}
			entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: l.Of.String(), Value: l.Value})
			set = append(set, fmt.Sprintf("%s %s", l.Of, quotaText(l.Of, l.Value)))
		}
		return alterQuota(cmd.Context(), b, entry, func() { s.note("%s: %s", e, strings.Join(set, ", ")) })
	}
	return cmd
}

// alterQuota changes the quotas of one entity, and calls done if that went well.
func alterQuota(ctx context.Context, b *bootstrap, entry kadm.AlterClientQuotaEntry, done func()) error {
	ctx, adm, leave, err := b.admin(ctx)
	if err != nil {
		return err
	}
	defer leave()
	altered, err := adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{entry})
	if err != nil {
		return err
	}
	for _, a := range altered {
		if a.Err != nil && a.ErrMessage != "" {
			return errors.New(a.ErrMessage)
		}
		if a.Err != nil {
			return a.Err
		}
	}
	done()
	return nil
}

func newQuotaRemove(s streams, b *bootstrap) *cobra.Command {
	var flags quotaFlags
	cmd := &cobra.Command{
		Use:   "remove --user NAME [QUOTA...]",
		Short: "Remove quotas, all of those named by the flags if no name is given",
		Args:  cobra.ArbitraryArgs,
	}
	flags.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		e, err := flags.entity()
		if err != nil {
			return err
		}
		for _, name := range names {
			if access.ParseQuota(name) == 0 {
				return usagef("there is no quota %q; there are %s", name, strings.Join(quota.Names(e), ", "))
			}
		}
		ctx, adm, leave, err := b.admin(cmd.Context())
		if err != nil {
			return err
		}
		defer leave()
		limits, err := listQuotas(ctx, adm)
		if err != nil {
			return err
		}
		entry := kadm.AlterClientQuotaEntry{Entity: kadmEntity(e)}
		for _, l := range limits {
			if name := l.Of.String(); l.Entity == e && (len(names) == 0 || slices.Contains(names, name)) {
				entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: name, Remove: true})
			}
		}
		if len(entry.Ops) < max(len(names), 1) {
			return fmt.Errorf("%s has %d quotas of those that are to be removed; see 'firn quota list'", e, len(entry.Ops))
		}
		return alterQuota(ctx, b, entry, func() { s.note("%s: removed %d quotas", e, len(entry.Ops)) })
	}
	return cmd
}
