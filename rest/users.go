package rest

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"firn.dev/access"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// user is a user and how it logs in. What proves its password is never told.
type user struct {
	Name       string          `json:"name"`
	Mechanisms []userMechanism `json:"mechanisms"`
}

type userMechanism struct {
	Mechanism  string `json:"mechanism"`
	Iterations int    `json:"iterations"`
}

// userList is users by name, and after which name the next list begins.
type userList struct {
	Users []user `json:"users"`
	Total int    `json:"total"`
	Next  string `json:"next,omitempty"`
}

// newPassword is what setUser is asked for.
type newPassword struct {
	Password   string   `json:"password"`
	Mechanisms []string `json:"mechanisms"` // none: all that there are
	Iterations *int     `json:"iterations"`
}

// userRoutes are about users, and need what Kafka's APIs for SCRAM credentials need.
func (s *Server) userRoutes() []route {
	const users, user = "/v1/users", "/v1/users/{user}"
	see := needs(access.Requests, access.Describe.On(access.Cluster))
	change := needs(access.Requests, access.Alter.On(access.Cluster))
	return []route{
		{method: http.MethodGet, pattern: users, handler: s.counting(s.listUsers), rules: see,
			summary: "users and the mechanisms by which they log in, by name"},
		{method: http.MethodGet, pattern: user, handler: s.describeUser, rules: see,
			summary: "a user and the mechanisms by which it logs in"},
		{method: http.MethodPut, pattern: user, handler: auditedRefusals(s.counting(s.setUser)), rules: change,
			summary: "create a user, or give it another password"},
		{method: http.MethodDelete, pattern: user, handler: auditedRefusals(s.deleteUser), rules: change,
			summary: "delete a user: it cannot log in any more"},
	}
}

// userOf is a user of a name, without mechanisms if there is none.
func userOf(users security.Users, name string) user {
	u := user{Name: name, Mechanisms: []userMechanism{}}
	for _, m := range access.ScramMechanisms {
		if keys, has := users.ScramKeys(name, m); has {
			u.Mechanisms = append(u.Mechanisms, userMechanism{m.String(), keys.Iterations})
		}
	}
	return u
}

// changeableUser is the user that a request may change. It fails for one of FileUsers, whose file
// alone says how that user logs in.
func (s *Server) changeableUser(r *http.Request) (name string, err error) {
	name = r.PathValue("user")
	if s.opts.FileUsers == nil {
		return name, nil
	}
	for _, m := range access.ScramMechanisms {
		if _, has := s.opts.FileUsers.ScramKeys(name, m); has {
			return name, &problem{Status: http.StatusConflict, Field: "user", Detail: fmt.Sprintf("user %q is in the "+
				"file of users of this node (%s), which alone says how that user logs in: change it there", name,
				s.setting("FileUsers"))}
		}
	}
	return name, nil
}

// listUsers lists users by name.
func (s *Server) listUsers(w http.ResponseWriter, r *http.Request, memory *share) error {
	q := queryOf(r, "after", "limit")
	limit, after := int(q.number("limit", maxListed, 1, maxListed)), q.text("after", "")
	if q.err != nil {
		return q.err
	}
	known := s.view().SettingsCount(coordinator.UserSetting)
	if err := memory.grow(r.Context(), int64(known)*listedNameBytes+int64(limit)*listedUserBytes); err != nil {
		return err
	}
	users := s.security.Users()
	names := users.Names()
	list := userList{Users: []user{}, Total: len(names)}
	from, found := slices.BinarySearch(names, after)
	if found {
		from++
	}
	for _, name := range names[from:min(from+limit, len(names))] {
		list.Users = append(list.Users, userOf(users, name))
	}
	if from+limit < len(names) {
		list.Next = names[from+limit-1]
	}
	answer(w, http.StatusOK, typeJSON, list)
	return nil
}

// describeUser says how a user logs in.
func (s *Server) describeUser(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	u := userOf(s.security.Users(), r.PathValue("user"))
	if len(u.Mechanisms) == 0 {
		return notFound(kerr.ResourceNotFound, "there is no user %q", u.Name)
	}
	answer(w, http.StatusOK, typeJSON, u)
	return nil
}

// setUser gives a user a password. By mechanisms that are not named it cannot log in any more: they
// would go on taking the password before.
func (s *Server) setUser(w http.ResponseWriter, r *http.Request, memory *share) error {
	if !s.confidential(r) {
		return s.notConfidential()
	}
	var asked newPassword
	if err := readJSON(w, r, &asked, memory); err != nil {
		return err
	}
	mechanisms, err := asked.mechanisms()
	if err != nil {
		return err
	}
	iterations := access.DefaultScramIterations
	if asked.Iterations != nil {
		iterations = *asked.Iterations
	}
	name, err := s.changeableUser(r)
	if err != nil {
		return err
	}
	if err := access.CheckUserName(name); err != nil {
		return unacceptable("user", err)
	}
	if err := access.CheckPassword(asked.Password); err != nil {
		return unacceptable("password", err)
	}
	keys := map[access.ScramMechanism]access.ScramKeys{}
	for _, m := range access.ScramMechanisms { // each once, however often it is named: keys cost much
		if !slices.Contains(mechanisms, m) {
			continue
		}
		if keys[m], err = access.NewScramKeys(m, asked.Password, iterations); err != nil {
			return unacceptable("iterations", err)
		}
	}
	change, err := s.security.SetUser(name, keys)
	if err != nil {
		return err
	}
	if err := s.alterUser(r, change); err != nil {
		return err
	}
	answer(w, http.StatusOK, typeJSON, userOf(s.security.Users(), name))
	return nil
}

// alterUser makes a change of a user.
func (s *Server) alterUser(r *http.Request, change security.UserChange) error {
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	return s.security.AlterUsers(ctx, askerOf(r), []security.UserChange{change})[0]
}

// unacceptable is a user that there cannot be.
func unacceptable(field string, err error) *problem {
	p := kafkaProblem(kerr.UnacceptableCredential, err.Error())
	p.Field = field
	return &p
}

// mechanisms are those that are asked for.
func (n *newPassword) mechanisms() ([]access.ScramMechanism, error) {
	if len(n.Mechanisms) == 0 {
		return access.ScramMechanisms, nil
	}
	var list []access.ScramMechanism
	for _, name := range n.Mechanisms {
		m, err := parsed("mechanisms", name, access.ParseScramMechanism, access.ScramSHA256, access.ScramSHA512)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// deleteUser takes a user's keys of all mechanisms away.
func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	name, err := s.changeableUser(r)
	if err != nil {
		return err
	}
	if err := s.catchUp(r.Context()); err != nil {
		return err
	}
	change, err := s.security.DeleteUser(name)
	if err != nil {
		return err
	}
	if err := s.alterUser(r, change); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
