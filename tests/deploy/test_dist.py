"""What `make dist` builds, installed into clean environments: it is whole, and runs from there.

Nothing is fetched: dependencies are those beside this interpreter, found through a path file, while
kdns itself is nowhere but in the new environment.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import kdns

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
COREFILE = ".:53 {\n    whoami\n}\n"
ALONE = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
"""The environment of somebody who only installed kdns."""


def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=ALONE, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel and sdist, built from what is in the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=TOP)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def rebuilt(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, as pip does."""
    (sdist,) = dist.glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        # Python 3.11.2 has no filters yet, 3.14 will not do without.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    (source,) = folder.iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    (found,) = folder.glob("*.whl")
    return found


def installed(wheel: Path, folder: Path) -> Path:
    """The scripts of a new environment that has this wheel."""
    venv.create(folder, with_pip=False)
    scripts = folder / "bin"
    uv = shutil.which("uv")
    pip = [uv, "pip", "install", "--python"] if uv else [sys.executable, "-m", "pip", "--python"]
    words = [] if uv else ["install", "--no-compile", "--no-warn-script-location"]
    run(*pip, scripts / "python", *words, "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder in a path file is searched, but the path files in it are not read: the editable kdns
    # of this checkout stays out of sight.
    (packages / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def scripts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = request.getfixturevalue("wheel" if request.param == "wheel" else "rebuilt")
    return installed(made, tmp_path_factory.mktemp(request.param))


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "kdns"], cwd=TOP, capture_output=True, text=True, check=False
    )
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = {name for name in listed.stdout.splitlines() if (TOP / name).exists()}
    assert tracked <= names
    assert all(name.startswith("kdns/") for name in names)
    for folder, least in (("plugins", 50), ("help", 3), ("status/web", 5)):
        assert sum(name.startswith(f"kdns/{folder}/") for name in names) >= least
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_and_sdist_say_the_version_of_the_package(dist: Path, wheel: Path) -> None:
    names = {path.name for path in dist.iterdir()}
    version = kdns.__version__
    assert names == {f"kdns-{version}-py3-none-any.whl", f"kdns-{version}.tar.gz"}
    with zipfile.ZipFile(wheel) as archive:
        about = message_from_bytes(archive.read(f"kdns-{version}.dist-info/METADATA"))
        points = archive.read(f"kdns-{version}.dist-info/entry_points.txt").decode()
    assert about["Version"] == version
    assert about["License-Expression"] == "Apache-2.0"
    assert points.split() == ["[console_scripts]", "kdns", "=", "kdns.cli.main:main"]


def test_the_sdist_makes_the_same_wheel(wheel: Path, rebuilt: Path) -> None:
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(rebuilt) as other:
        assert one.namelist() == other.namelist()
        for name in one.namelist():
            assert one.read(name) == other.read(name), name


def test_what_runs_is_what_was_installed(scripts: Path, tmp_path: Path) -> None:
    said = run(scripts / "python", "-c", "import kdns; print(kdns.__file__)", cwd=tmp_path)
    assert Path(said.strip()).is_relative_to(scripts.parent)


def test_it_lists_its_plugins_checks_a_corefile_and_prints_pages(
    scripts: Path, tmp_path: Path
) -> None:
    program = scripts / "kdns"
    assert "kubernetes" in run(program, "-plugins", cwd=tmp_path).split()
    (tmp_path / "Corefile").write_text(COREFILE)
    assert "fine" in run(program, "check", cwd=tmp_path)
    (tmp_path / "Corefile").write_text(COREFILE.replace("whoami", "whoamy"))
    run(program, "check", cwd=tmp_path, code=2)
    pages = run(program, "man", cwd=tmp_path)
    assert kdns.__version__ in pages
    assert "whoami" in pages
    assert "faults" in pages


def test_its_lab_runs(scripts: Path, tmp_path: Path) -> None:
    """The second start that README shows, on a free port, with a command in place of a person."""
    asks = (
        "import os, ssl, urllib.request, yaml, base64\n"
        "config = yaml.safe_load(open(os.environ['KUBECONFIG']))\n"
        "cluster, user = config['clusters'][0]['cluster'], config['users'][0]['user']\n"
        "wants = urllib.request.Request(cluster['server'] + '/api/v1/namespaces')\n"
        "wants.add_header('Authorization', 'Bearer ' + user.get('token', ''))\n"
        "print(urllib.request.urlopen(wants, timeout=60).read().decode())\n"
    )
    said = run(
        scripts / "kdns", "lab", "--port", "0", "--", scripts / "python", "-c", asks, cwd=tmp_path
    )
    assert '"kube-system"' in said
