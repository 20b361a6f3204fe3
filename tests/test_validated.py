"""What is wrong with values that a model refuses, as people are told."""

import pytest
from pydantic import BaseModel, ValidationError

from spared_bench.validated import first_problems


def test_the_first_wrong_fields_are_named_and_not_quoted():
    class Model(BaseModel):
        a: int
        b: dict[str, int]

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"a": "<script>", "b": dict.fromkeys("xyz", "<script>")})

    found = first_problems(caught.value, "file", Model)
    assert found.startswith("a: expected a whole number; ")
    assert "b.x: " in found
    assert found.endswith(" (and 1 more)")
    assert "script" not in found
