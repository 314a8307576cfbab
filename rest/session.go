package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"firn.dev/access"
	"firn.dev/access/login"
	"firn.dev/coordinator"
	"firn.dev/coordinator/security"
)

// A page in a browser logs in once, by Basic or Bearer, and gets a cookie for it. Browsers keep it
// from scripts (HttpOnly) and from requests of other sites (SameSite); of what they send all the
// same, because sites are wider than origins, fromThisOrigin refuses the rest. Browsers add the
// prefix's own rule: such a cookie came over https, from this host.
const (
	sessionCookie       = "firn-session"
	secureSessionCookie = "__Host-" + sessionCookie
)

// pageField marks requests of a page's script, which has a form of its own for logins: the browser
// must not put its own before it.
const pageField = "X-Requested-With"

// sessionState is what a client learns of its own login.
type sessionState struct {
	Principal string     `json:"principal"`
	Until     *time.Time `json:"until,omitempty"` // when the session ends; nil: there is none
	Logins    bool       `json:"logins"`          // whether one can begin
}

// sessionRoutes are about the login of whoever asks.
func (s *Server) sessionRoutes() []route {
	const session = "/v1/session"
	itself := rules{itself: true, quota: access.Requests}
	return []route{
		{method: http.MethodGet, pattern: session, handler: s.showSession, summary: "as whom the client has logged in",
			rules: itself},
		{method: http.MethodPost, pattern: session, handler: s.beginSession, rules: itself,
			summary: "log in: a cookie that stands for the login of this request"},
		{method: http.MethodDelete, pattern: session, handler: s.endSession, summary: "log out", rules: itself},
	}
}

// sessions are those that can begin here; nil if none can.
func (s *Server) sessions() *login.Sessions {
	if s.opts.Logins == nil {
		return nil
	}
	return s.opts.Logins.Sessions
}

func (s *Server) showSession(w http.ResponseWriter, r *http.Request) error {
	who := callerOf(r.Context())
	state := sessionState{Principal: who.Principal.String(), Logins: s.sessions() != nil}
	if who.session != nil {
		state.Until = &who.session.Until
	}
	answer(w, http.StatusOK, typeJSON, state)
	return nil
}

// beginSession takes a password or a token, and nothing else: a session does not prolong itself.
func (s *Server) beginSession(w http.ResponseWriter, r *http.Request) error {
	who, sessions := callerOf(r.Context()), s.sessions()
	if sessions == nil {
		return &problem{Status: http.StatusConflict,
			Detail: "nobody logs in here: the server asks for no login (" + s.setting("Logins") + ")"}
	}
	var cookie string
	var session login.Session
	var err error
	switch {
	case who.password != nil:
		cookie, session, err = sessions.OfPassword(*who.password)
	case who.token != nil:
		cookie, session, err = sessions.OfToken(*who.token)
	default:
		return s.unauthorized(r, "log in with a password or a token, in the header Authorization")
	}
	if err != nil {
		return untold(err)
	}
	setCookie(w, r, cookie, int(time.Until(session.Until)/time.Second))
	answer(w, http.StatusOK, typeJSON, sessionState{Principal: who.Principal.String(), Until: &session.Until,
		Logins: true})
	return nil
}

// endEverywherePatience is how long a client waits for a session to end on the other nodes.
const endEverywherePatience = 5 * time.Second

// endSession ends a session on this node whatever happens, and says so if it could not tell the
// others.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) error {
	if session := callerOf(r.Context()).session; session != nil {
		s.sessions().End(*session)
		setCookie(w, r, "", -1)
		if err := s.endEverywhere(r.Context(), *session); err != nil {
			return &problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("this node has ended the session, "+
				"but could not tell the others, which take the cookie until %s: %v", session.Until.UTC().Format(time.RFC3339), err)}
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) endEverywhere(ctx context.Context, session login.Session) error {
	changes, err := security.EndedSessions{View: s.view()}.End(session, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, endEverywherePatience)
	defer cancel()
	_, err = s.opts.Node.Change(ctx, coordinator.Change{Settings: changes})
	return err
}

// setCookie has a browser keep a cookie for so long, or lose it, if that is negative.
func setCookie(w http.ResponseWriter, r *http.Request, value string, maxAgeSeconds int) {
	c := http.Cookie{Name: sessionCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		MaxAge: maxAgeSeconds}
	// A proxy that ends TLS hands on what origin the browser sees.
	if c.Secure = r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https://"); c.Secure {
		c.Name = secureSessionCookie
	}
	http.SetCookie(w, &c)
}

// cookieOf is the session cookie of a request; empty: there is none.
func cookieOf(r *http.Request) string {
	c, err := r.Cookie(secureSessionCookie)
	if err != nil && r.TLS == nil {
		c, err = r.Cookie(sessionCookie)
	}
	if err != nil {
		return ""
	}
	return c.Value
}

// checkCookie finds the session of a request.
func (s *Server) checkCookie(r *http.Request, who *caller, cookie string) error {
	if !s.confidential(r) {
		return s.unauthorized(r, "")
	}
	if !fromThisOrigin(r) {
		return &problem{Status: http.StatusForbidden, Field: "Cookie",
			Detail: "a page of another origin sent this request with this server's cookie"}
	}
	sessions := s.sessions()
	session, err := sessions.Check(cookie)
	if errors.Is(err, login.ErrSession) {
		s.logins.WithLabelValues("cookie", "failed").Inc()
		return s.unauthorized(r, err.Error())
	}
	if err != nil {
		return untold(err)
	}
	s.logins.WithLabelValues("cookie", "done").Inc()
	who.Principal = access.Principal{Type: "User", Name: session.User}
	who.session, who.holds = &session, func() bool { return sessions.Holds(session) }
	return nil
}

// fromThisOrigin says whether a browser sent a request for a page of this server, or because a
// person asked for it.
func fromThisOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		origin := r.Header.Get("Origin")
		from, err := url.Parse(origin)
		return origin == "" || err == nil && from.Host == r.Host
	}
	return false
}

// untold is what a client gets while a node does not know the secret of its cluster.
func untold(err error) error {
	return &problem{Status: http.StatusServiceUnavailable, Detail: err.Error(), retryAfter: time.Second}
}
