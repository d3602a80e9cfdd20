import pytest
from typer.testing import CliRunner

from ops import benchmarks
from ops.cli import app
from ops.errors import UserError
from ops.paths import ROOT


def test_every_benchmark_is_run_by_its_name_and_an_unknown_one_is_refused_with_the_names(monkeypatch):
    assert {"health", "imaging", "policies", "preview"} <= set(benchmarks.names())
    with pytest.raises(UserError, match="no benchmark 'x'") as refused:
        benchmarks.run("x")
    assert "imaging" in refused.value.fix


def test_a_benchmark_that_fails_fails_the_command(monkeypatch, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    for name, code in {"fine": 0, "wrong": 3}.items():
        (tmp_path / "benchmarks" / f"{name}.py").write_text(f"raise SystemExit({code})")
    monkeypatch.setattr(benchmarks, "ROOT", tmp_path)
    assert CliRunner().invoke(app, ["bench"]).exit_code == 3
    assert CliRunner().invoke(app, ["bench", "fine"]).exit_code == 0


def test_the_setup_installs_what_benchmarks_need():
    assert "test | bench) install dev" in (ROOT / "bmx").read_text()
