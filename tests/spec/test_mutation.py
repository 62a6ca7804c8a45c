"""Without any one boot rule a named test fails; docs/mutation.md says which."""

import pytest

from tests.spec import mutation


@pytest.mark.parametrize("of", [mutation.agent_rules, mutation.bootloader_rules])
def test_without_any_one_rule_a_case_fails(of: "type[dict[str, list[str]]]") -> None:
    assert all(of().values()), of()


def test_the_page_is_what_the_run_says() -> None:
    assert mutation.PAGE.read_text() == mutation.page(), "run `make mutation`"
