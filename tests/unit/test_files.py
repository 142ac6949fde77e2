"""Files that others can read."""

import pytest

from pamdp.files import write_json


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_what_is_json_and_leaves_what_was_there(tmp_path, value) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": None})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": value})
    assert path.read_text() == '{\n "a": null\n}\n'
    assert [each.name for each in tmp_path.iterdir()] == ["facts.json"]
