"""Paste filters that give Debian's Glance, in tests, what it cannot be configured to do."""


def norange(global_conf, **conf):
    """The file store refuses random access.

    Its capabilities become those of the rbd, swift and s3 drivers. Filters are
    made before the stores are, so every store sees the change.
    """
    from glance_store import capabilities
    from glance_store._drivers import filesystem

    filesystem.Store._CAPABILITIES = capabilities.BitMasks.RW_ACCESS
    return lambda app: app


def believe(global_conf, **conf):
    """X-Auth-Token "user:project:role[,role]" is who asks; any other token is nobody.

    Sets the headers that Keystone's middleware sets for a token it has checked.
    """

    def wrap(app):
        def serve(environ, start_response):
            forged = ("HTTP_X_IDENTITY", "HTTP_X_USER", "HTTP_X_PROJECT", "HTTP_X_TENANT", "HTTP_X_ROLE")
            for key in [k for k in environ if k.startswith(forged)]:
                del environ[key]
            who = environ.get("HTTP_X_AUTH_TOKEN", "").split(":")
            if len(who) == 3:
                environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
                environ["HTTP_X_USER_ID"], environ["HTTP_X_PROJECT_ID"], environ["HTTP_X_ROLES"] = who
            return app(environ, start_response)

        return serve

    return wrap
