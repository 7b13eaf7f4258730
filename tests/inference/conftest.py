"""The review page's fixtures that several files share."""

import pytest
from review_helpers import Browser, Clock, make_site


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def site(tmp_path, clock):
    site = make_site(tmp_path, clock=clock)
    yield site
    site.database.close()


@pytest.fixture
def ann(site):
    return Browser(site, "ann")
