import pytest

from alerts.alarms import AlarmBook
from alerts.desk import Dispatch
from tests.unit.alerts_life.life_kit import ASSETS, RULES, make_desk


@pytest.fixture
def book() -> AlarmBook:
    return AlarmBook(RULES, ASSETS)


@pytest.fixture
def desk() -> Dispatch:
    return make_desk()
