package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"firn.dev/access"
)

func newUser(s streams) *cobra.Command {
	cmd := ofServer(s, "user", "List, set and delete users and their passwords", newUserList, newUserSet, newUserDelete)
	cmd.AddCommand(newUserHash(s))
	return cmd
}

// listedUser is one way in which a user logs in.
type listedUser struct {
	User       string `json:"user"`
	Mechanism  string `json:"mechanism"`
	Iterations int32  `json:"iterations"`
}

func newUserList(s streams, b *bootstrap) *cobra.Command {
	var form outputForm
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all users and by which mechanisms they log in",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, adm, done, err := b.admin(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			users, err := adm.DescribeUserSCRAMs(ctx)
			if err == nil {
				err = users.Error()
			}
			if err != nil {
				return err
			}
			list := []listedUser{}
			for _, u := range users.Sorted() {
				for _, c := range u.CredInfos {
					list = append(list, listedUser{u.User, access.ScramMechanism(c.Mechanism).String(), c.Iterations})
				}
			}
			return form.print(s.Out, list)
		},
	}
	form.addFlag(cmd)
	return cmd
}

// mechanisms reads --mechanism.
func mechanisms(names []string) (list []access.ScramMechanism, err error) {
	for _, name := range names {
		m := access.ParseScramMechanism(name)
		if m == 0 {
			return nil, usagef("--mechanism %q is none of %v", name, access.ScramMechanisms)
		}
		list = append(list, m)
	}
	return list, nil
}

func newUserSet(s streams, b *bootstrap) *cobra.Command {
	var file string
	var names []string
	var iterations int32
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Create a user, or give it another password",
		Args:  exactly("NAME"),
	}
	cmd.Flags().StringVar(&file, "password-file", "-", "`file` with the password, or - for standard input; a line "+
		"end behind it is not part of it")
	cmd.Flags().StringSliceVar(&names, "mechanism", []string{"SCRAM-SHA-512", "SCRAM-SHA-256"},
		"`mechanisms` to log in by")
	cmd.Flags().Int32Var(&iterations, "iterations", access.DefaultScramIterations, "how much work a guess is")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list, err := mechanisms(names)
		if err != nil {
			return err
		}
		password, err := readPassword(s, file)
		if err != nil {
			return err
		}
		ctx, adm, done, err := b.admin(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		for _, m := range list { // one request for each: a request alters a user once
			err := alteredUser(adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: args[0],
				Mechanism: kadm.ScramMechanism(m), Iterations: iterations, Password: password}}))
			if err != nil {
				return fmt.Errorf("user %q, %s: %w", args[0], m, err)
			}
		}
		s.note("user %s logs in by %v", args[0], list)
		return nil
	}
	return cmd
}

// fromStandardInput is the file that is standard input.
const fromStandardInput = "-"

// readPassword reads a password. It is never an argument: everybody on the machine sees those.
func readPassword(s streams, file string) (string, error) {
	var text []byte
	var err error
	switch file {
	case fromStandardInput:
		text, err = io.ReadAll(io.LimitReader(s.In, access.MaxPasswordBytes+3))
	default:
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	return password, access.CheckPassword(password)
}

// alteredUser is what a server says of one change of a user.
func alteredUser(altered kadm.AlteredUserSCRAMs, err error) error {
	if err != nil {
		return err
	}
	for _, u := range altered {
		if u.Err != nil && u.ErrMessage != "" {
			return errors.New(u.ErrMessage)
		}
	}
	return altered.Error()
}

func newUserDelete(s streams, b *bootstrap) *cobra.Command {
	var names []string
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a user: it cannot log in any more",
		Args:  exactly("NAME"),
	}
	cmd.Flags().StringSliceVar(&names, "mechanism", nil, "`mechanisms` by which it cannot log in any more (default: all)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list, err := mechanisms(names)
		if err != nil {
			return err
		}
		ctx, adm, done, err := b.admin(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if len(list) == 0 {
			users, err := adm.DescribeUserSCRAMs(ctx, args[0])
			if err != nil {
				return err
			}
			for _, c := range users[args[0]].CredInfos {
				list = append(list, access.ScramMechanism(c.Mechanism))
			}
		}
		if len(list) == 0 {
			return fmt.Errorf("there is no user %q; 'firn user list' lists them", args[0])
		}
		for _, m := range list {
			gone := kadm.DeleteSCRAM{User: args[0], Mechanism: kadm.ScramMechanism(m)}
			err := alteredUser(adm.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{gone}, nil))
			if err != nil {
				return fmt.Errorf("user %q, %s: %w", args[0], m, err)
			}
		}
		s.note("deleted user %s", args[0])
		return nil
	}
	return cmd
}
