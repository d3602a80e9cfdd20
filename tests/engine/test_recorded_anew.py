"""Where the real engine is on the PATH, every transcript is made anew."""

import pytest

from tests.engine.engines import PulumiCli, needs_the_real_engine
from tests.engine.runner import play
from tests.engine.scenario import Scenario, scenarios
from tests.engine.transcript import differences, read


@needs_the_real_engine
@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_the_real_engine_still_does_what_was_recorded(scenario: Scenario, tmp_path):
    assert differences(read(scenario.name), play(scenario, tmp_path, PulumiCli)) == []
