"""The Dockerfile and the workflow of a code forge name what there is."""

from __future__ import annotations

import re
import subprocess

from ruamel.yaml import YAML

from tests.helpers import ROOT

DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
TARGETS = set(re.findall(r"(?m)^([a-z]+):.*## ", (ROOT / "Makefile").read_text()))
WORKFLOW = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "ci.yml")


def test_the_image_copies_files_that_it_is_given():
    copied = re.findall(r"(?m)^COPY \S+ (.*) \./?$", DOCKERFILE)
    assert len(copied) == 2
    names = set(" ".join(copied).split()) - {"."}
    assert names >= {"requirements.lock", "pyproject.toml", "Makefile"}
    ignored = (ROOT / ".dockerignore").read_text().split()
    known = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    # Outside a repository (a source distribution) the names alone are looked at.
    assert not [name for name in names if name in ignored or not (ROOT / name).is_file()]
    folders = {name.split("/")[0] for name in known.stdout.splitlines()}
    assert not folders & {name.strip("/") for name in ignored}


def test_the_image_runs_commands_that_there_are():
    called = set(re.findall(r"make[\", ]+([a-z]+)", DOCKERFILE))
    assert called == {"install", "study"}
    assert called <= TARGETS
    # What make tells its commands is told to commands that are called without it.
    told = dict(re.findall(r"(\w+)=(\S+)", "".join(re.findall(r"(?m)^ENV .*$", DOCKERFILE))))
    assert told.pop("PATH") == "/laboratory/.venv/bin:$PATH"
    makefile = (ROOT / "Makefile").read_text()
    for name in told:
        assert re.search(rf"(?m)^export {name} \??=", makefile), name


def test_the_workflow_runs_what_ci_runs_in_each_supported_python():
    (job,) = WORKFLOW["jobs"].values()
    supported = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert job["strategy"]["matrix"]["python"] == supported
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    (setup,) = [step for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert setup["with"]["cache"] == "pip"
    assert (ROOT / setup["with"]["cache-dependency-path"]).is_file()
