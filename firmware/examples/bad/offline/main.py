"""A bad release: it looks for its server where none is (192.0.2.0/24 is nobody's: RFC 5737)."""

from otaagent import boot

boot.run("app", {"server": "http://192.0.2.1"})
