"""The table of countries."""

import pycountry

from services.chassis.regions import REGIONS


def test_the_table_is_that_of_iso_3166() -> None:
    assert {country.alpha_2 for country in pycountry.countries} == REGIONS
