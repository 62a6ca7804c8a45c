"""A bad release: it looks for its server where nobody answers (port 9, discard)."""

from otaagent import boot

boot.run("app", {"server": "http://127.0.0.1:9"})
