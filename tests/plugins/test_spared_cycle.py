"""All 26 datasets, fetched from a server with their real layouts, prepared and verified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spared_bench.api import make_bench
from spared_bench.errors import MissingFileError
from spared_bench.sources.fetch import Options, dataset_folder, fetch
from spared_bench.sources.fetched import on_disk, verify
from spared_bench.sources.mirrors import read_mirrors
from spared_bench.sources.patience import Policy
from spared_bench.trials.products import prepare
from spared_bench_plugins.datasets.spared import spared_datasets
from tests import upstream
from tests.servers import serving

SPECS = spared_datasets()
PROTOCOL = Path(upstream.__file__).with_name("upstream.yaml")
OTHER_SCALE = ("mirzazadeh", "erickson")


@pytest.fixture(scope="module")
def server():
    """Serves every address of the catalogue, some of them with bad manners."""
    with serving() as server:
        for number, (url, content) in enumerate(upstream.everything().items()):
            path = f"/{url.removeprefix('https://')}"
            server.serve(path, content)
            if "figshare" in url:  # which sends one to another host
                server.serve(f"/storage/{number}", content, *["503", "drop", ""][number % 3 :])
                server.moods[path] = [f"-> /storage/{number}"]
            elif url.endswith(".zip"):
                server.moods[path] = ["drop", "503", ""]
        yield server


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("spared") / "workspace"
    bench = make_bench(str(PROTOCOL), workspace=root, device="cpu")
    bench.workspace.make_writable()
    return bench


@pytest.fixture(scope="module")
def options(server):
    """As ``--mirror https://=http://127.0.0.1:PORT/`` has it."""
    policy = Policy(backoff_s=0.001, timeout_s=10)
    return Options(mirrors=read_mirrors([f"https://={server.url}/"]), policy=policy)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_dataset_is_fetched_prepared_and_verified(spec, bench, options):
    folder = dataset_folder(spec, bench.workspace.data_dir)
    fetch(spec, folder, options)
    assert on_disk(spec, folder)[0] == "complete"

    prepared = prepare(bench, spec.name)

    adata, facts = prepared.adata, prepared.adata.uns["spared_bench"]
    per_slide = adata.obs["slide_id"].value_counts()
    assert set(per_slide) == {len(upstream.SPOTS)}
    for split, slides in spec.split.items():
        assert set(adata.obs["slide_id"][adata.obs["split"] == split]) == set(slides)
    assert adata.n_vars == 8
    assert set(adata.var_names) <= set(upstream.genes(spec.organism)[0])
    assert facts["raw_counts"] == spec.raw_counts
    assert facts["image"] == spec.image
    assert list(facts["notes"]) == list(spec.notes)
    _check_patches(spec, adata, prepared.patches[:])
    checked, problems = verify(spec, folder)
    assert (checked > 0, problems) == (True, [])


def _check_patches(spec, adata, patches):
    """The colour of a patch says where it was cut (``upstream.painting``)."""
    size = np.array([upstream.WIDTH, upstream.HEIGHT])
    np.testing.assert_allclose(
        patches.mean(axis=(1, 2))[:, :2], adata.obsm["spatial"] / size * 255, atol=4
    )
    blue = 0 if spec.image == "fluorescence" else 127
    np.testing.assert_allclose(patches[..., 2].mean(), blue, atol=2)
    scales = set(adata.uns["spared_bench"]["slide_facts"]["image_scale"])
    other = any(name in spec.factory for name in OTHER_SCALE)
    assert scales == {0.5 if other else 1.0}


def test_archives_that_datasets_share_are_fetched_once(server, bench, options):
    asked = len(server.asked)
    for spec in SPECS:
        fetch(spec, dataset_folder(spec, bench.workspace.data_dir), options)
    assert len(server.asked) == asked
    whole = [path for path, part in server.asked if path.endswith("4w6krnywhn-1.zip") and not part]
    assert len(whole) == 1  # after a drop and a 503, it went on where it was


def test_nothing_is_written_beside_the_code(server):
    import spared_bench
    import spared_bench_plugins.datasets.spared as plugin

    for module in (spared_bench, plugin):
        package = Path(module.__file__).parent
        assert not list(package.rglob(".fetch*"))


def test_a_dataset_that_lost_a_file_is_not_read(bench, options):
    spec = next(spec for spec in SPECS if spec.name == "vhs")
    folder = dataset_folder(spec, bench.workspace.data_dir)
    fetch(spec, folder, options)
    lost = folder / "V11T17-102_A1" / "full_resolution.jpg"
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(MissingFileError, match=r"not complete .*`spared-bench data fetch vhs`"):
        bench.folder("vhs")
    lost.write_bytes(kept)
    assert bench.folder("VHS") == folder
    assert bench.folder("vicari_human_striatium") == folder
