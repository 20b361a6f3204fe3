import numpy as np
import pytest

from spared_bench.errors import CorruptEntryError, MissingFileError
from spared_bench.models.arrays import FILE_NAME, load_arrays, save_arrays


def test_arrays_and_facts_come_back_as_they_were(tmp_path, rng):
    arrays = {"turned": rng.normal(size=(3, 4)).T, "count": np.array(7), "f": np.float32([1.5])}

    save_arrays(tmp_path / "new" / "folder", arrays, genes=["A", "B"], seed=3)
    loaded, facts = load_arrays(tmp_path / "new" / "folder")

    assert facts == {"genes": ["A", "B"], "seed": 3}
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_a_folder_without_a_saved_method_says_so(tmp_path):
    with pytest.raises(MissingFileError, match=f"holds no {FILE_NAME}.*Fit the method again"):
        load_arrays(tmp_path)


def test_a_damaged_file_says_so(tmp_path):
    path = save_arrays(tmp_path, {"a": np.arange(5)})
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CorruptEntryError, match=r"cannot be read.*fit the method again"):
        load_arrays(tmp_path)


def test_a_safetensors_file_from_elsewhere_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.arange(5)}, tmp_path / FILE_NAME)
    with pytest.raises(CorruptEntryError, match="from elsewhere"):
        load_arrays(tmp_path)
