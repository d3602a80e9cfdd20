"""The pack under the real CLI: `pulumi preview --policy-pack policies`, and the same for a deployment."""

import pytest

from ops.paths import ROOT
from tests.engine.engines import PulumiCli, needs_the_real_engine
from tests.engine.scenario import Step
from tests.engine.test_whole_program import project
from tests.program import stacks

pytestmark = [needs_the_real_engine, pytest.mark.slow]


class UnderThePack(Step):
    """A step with the policy pack."""

    @property
    def options(self) -> list[str]:
        """Its options on the command line."""
        return [*super().options, "--policy-pack", str(ROOT / "policies")]


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_a_program_passes_the_pack_under_the_real_engine(stack, tmp_path):
    with stacks.harness(stack, tmp_path) as recording:
        port = int(recording.provider.address.rsplit(":", 1)[1])
        cli = PulumiCli(project(tmp_path), {"aws": port}, stack)
        for kind in ("preview", "up"):
            run = cli.run(UnderThePack(kind, kind, stacks.beside_the_file(stack)))
            assert run.exit_code == 0, run.output
            # What only tells is no part of a preview's JSON.
            assert ("import-ends" in run.output) == (stack == "staging" and kind == "up")


def test_a_program_that_violates_a_rule_is_refused_by_the_real_engine(tmp_path):
    with stacks.harness("prod", tmp_path) as recording:
        port = int(recording.provider.address.rsplit(":", 1)[1])
        folder = project(tmp_path)
        worker = folder / "components" / "worker_flow.py"
        worker.write_text(worker.read_text().replace("sqs_managed_sse_enabled=True", "sqs_managed_sse_enabled=False"))
        run = PulumiCli(folder, {"aws": port}, "prod").run(UnderThePack("up", "up", stacks.beside_the_file("prod")))
        assert run.exit_code != 0
        assert "queue-encrypted" in run.output
        assert not [name for method, name in recording.provider.changes() if name.endswith("-queue")]
