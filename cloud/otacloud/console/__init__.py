"""Pages for people: server-rendered, live through one event stream per page, whole without JavaScript."""
