"""Every crash point in the code is one that the chaos suite arms, and the other way round."""

import re
from collections import Counter

import pytest

from deploy.local.settings import ROOT, SERVICES
from tests.chaos.faults.crash_points import CATALOGUE, Group

POINT = re.compile(r"crash_point\(\s*\"([^\"]+)\"\s*\)")
CALL = re.compile(r"(?<!def )\bcrash_point\(")
SOURCES = sorted((ROOT / "services").rglob("*.py"))


def test_the_catalogue_is_the_code() -> None:
    named = {name for source in SOURCES for name in POINT.findall(source.read_text())}
    catalogued = [point for group in CATALOGUE.values() for point in group.points]
    assert max(Counter(catalogued).values()) == 1
    assert set(catalogued) == named


def test_every_point_is_named_where_it_is() -> None:
    """A name put together at run time could not be found, and never be armed."""
    for source in SOURCES:
        text = source.read_text()
        assert len(CALL.findall(text)) == len(POINT.findall(text)), source


@pytest.mark.parametrize("group", CATALOGUE.values(), ids=CATALOGUE)
def test_a_group_can_be_armed(group: Group) -> None:
    assert set(group.services) <= set(SERVICES)
    assert len(group.points) >= 2
    assert group.passes_max >= 1
