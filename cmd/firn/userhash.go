package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/coordinator/security"
)

// newUserHash returns the command that makes a line of --users-file. A password is never an
// argument: others on this machine would see it.
func newUserHash(s streams) *cobra.Command {
	var mechanism, file string
	var iterations int
	cmd := &cobra.Command{
		Use:   "hash NAME",
		Short: "Read a password, and print the line of --users-file that lets its user log in",
		Long: "Read a password from standard input, or from --password-file, and print the line of --users-file that lets\n" +
			"its user log in with PLAIN, with the SCRAM mechanism, and on HTTP. The line does not contain the password.",
		Args: exactly("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			m := access.ParseScramMechanism(mechanism)
			if m == 0 {
				return usagef("--mechanism %q is neither SCRAM-SHA-512 nor SCRAM-SHA-256", mechanism)
			}
			if err := access.CheckUserName(args[0]); err != nil {
				return usagef("%w", err)
			}
			password, err := readPassword(s, file)
			if err != nil {
				return err
			}
			keys, err := access.NewScramKeys(m, password, iterations)
			if err != nil {
				return usagef("%w", err)
			}
			_, err = fmt.Fprintln(s.Out, login.FormatUser(args[0], m, keys))
			return err
		},
	}
	cmd.Flags().StringVar(&mechanism, "mechanism", access.ScramSHA512.String(), "`name` of the mechanism: SCRAM-SHA-512 "+
		"or SCRAM-SHA-256")
	cmd.Flags().IntVar(&iterations, "iterations", access.DefaultScramIterations, "`number` of hashes that a guess costs")
	cmd.Flags().StringVar(&file, "password-file", "-", "`file` with the password, or - for standard input")
	return cmd
}

// users are those of --users-file; nil if there is none.
func (o *serveOptions) users(logger *slog.Logger) (*login.UsersFile, error) {
	if o.usersFile == "" {
		return nil, nil
	}
	users, err := login.LoadUsers(o.usersFile, logger)
	if err != nil {
		return nil, usagef("--users-file: %w", err)
	}
	return users, nil
}

// fileUsers are those of --users-file; nil if there is none.
func (n *node) fileUsers() access.Users {
	if n.users == nil {
		return nil
	}
	return n.users
}

// allPasswords checks those of --users-file, and of the users in the bucket.
func (n *node) allPasswords() *login.Passwords {
	all := login.Either{security.Users{View: n.member.View()}}
	if n.users != nil {
		all = login.Either{n.users, all[0]}
	}
	passwords := login.NewPasswords(all)
	passwords.HideBehind(n.clusterSecret())
	return passwords
}
