"""What is published: an archive with tests and docs, and a wheel that works where nothing else of the checkout is."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import separatrix

ROOT = Path(__file__).parents[2]
URL = "https://example.org/separatrix"
BUILD = "import setuptools.build_meta as b, sys; out = sys.argv[1]; b.build_sdist(out); b.build_wheel(out)"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both, from a copy of what git would give."""
    copy, out = tmp_path_factory.mktemp("copy") / "checkout", tmp_path_factory.mktemp("dist")
    everywhere = shutil.ignore_patterns("node_modules", "__pycache__", "*.egg-info", ".*")

    def aside(folder: str, names: list[str]) -> set[str]:
        """Name what git does not have, and results, which are large."""
        made = {"site", "runs", "build", "dist", "results"} if Path(folder).parent in (ROOT, ROOT.parent) else set()
        return (set(everywhere(folder, names)) | made & set(names)) - {".ci"}

    shutil.copytree(ROOT, copy, ignore=aside)
    subprocess.run(
        [sys.executable, "-c", BUILD, str(out)],
        cwd=copy, env={**os.environ, "SEPARATRIX_URL": URL}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (archive,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return {"archive": archive, "wheel": wheel}


def test_the_archive_has_tests_and_docs(built: dict[str, Path]) -> None:
    with tarfile.open(built["archive"]) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {
        "tests/conftest.py",
        "docs/start.md",
        "Makefile",
        "constraints.txt",
        "CITATION.cff",
        "web/package.json",
    } <= names
    assert not [name for name in names if "__pycache__" in name or "node_modules" in name]


def test_the_index_page_has_absolute_links(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
        page = email.message_from_bytes(wheel.read(name))
    text = str(page.get_payload())
    targets = re.findall(r'\]\(([^)]+)\)|src="([^"]+)"', text)
    assert len(targets) > 10
    assert [target for pair in targets for target in pair if target and not target.startswith(("https://", "#"))] == []
    assert f"Source, {URL}" in page.get_all("Project-URL", [])


def test_the_wheel_works_in_an_empty_environment(built: dict[str, Path], tmp_path: Path) -> None:
    """Its dependencies are those of the tests; nothing of the checkout is in its path."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    with zipfile.ZipFile(built["wheel"]) as wheel:
        wheel.extractall(packages)
    python = str(tmp_path / "env" / "bin" / "python")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words: str) -> str:
        made = subprocess.run([python, *words], cwd=tmp_path, env=plain, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        return made.stdout

    assert str(packages) in run("-c", "import separatrix; print(separatrix.__file__)")
    assert run("-m", "separatrix", "--version").split() == ["separatrix", separatrix.__version__]
    run("-m", "separatrix", "demo", "--quick", "--no-figures", "--out", "demo")
    assert (tmp_path / "demo" / "explorer.html").is_file()


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert cited is not None
    assert project["version"] == separatrix.__version__ == cited[1]
