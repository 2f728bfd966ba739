"""Ruleset files from disk: what is taken, under which name, and that nothing outside is read."""

from pathlib import Path

import pytest

from stagewheel.server.limits import RULESET_CHARS_MAX
from stagewheel.server.rules.load import CannotLoad, load_folder_or_files


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_folder_gives_its_documents_and_templates_by_relative_path(tmp_path: Path) -> None:
    write(tmp_path, b_yaml="b", a_json="a", templates__x_txt_j2="x", deep__er__c_toml="c", README_md="no")
    write(tmp_path / ".hidden", d_yaml="d")
    assert load_folder_or_files([tmp_path]) == {
        "a.json": "a",
        "b.yaml": "b",
        "deep/er/c.toml": "c",
        "templates/x.txt.j2": "x",
    }


def test_a_file_brings_the_templates_beside_it_and_no_other_document(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="a", b_yaml="b", templates__x_txt_j2="x", templates__y_yaml="y", other__z_j2="z")
    assert load_folder_or_files([tmp_path / "a.yaml"]) == {"a.yaml": "a", "templates/x.txt.j2": "x"}
    both = load_folder_or_files([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert list(both) == ["a.yaml", "templates/x.txt.j2", "b.yaml"]


def test_what_is_no_ruleset_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_txt="a")
    (tmp_path / "latin.yaml").write_bytes(b"\xe9")
    with pytest.raises(CannotLoad, match="is no file and no folder"):
        load_folder_or_files([tmp_path / "missing.yaml"])
    with pytest.raises(CannotLoad, match="is no ruleset file"):
        load_folder_or_files([tmp_path / "a.txt"])
    with pytest.raises(CannotLoad, match="is no UTF-8 text"):
        load_folder_or_files([tmp_path])
    (tmp_path / "latin.yaml").unlink()
    with pytest.raises(CannotLoad, match="there is no ruleset file"):
        load_folder_or_files([tmp_path])


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    write(inside, a_yaml="a")
    write(tmp_path, secret_j2="s")
    (inside / "b.j2").symlink_to(tmp_path / "secret.j2")
    with pytest.raises(CannotLoad, match="leads out of the folder"):
        load_folder_or_files([inside])


def test_a_ruleset_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, a_yaml="x" * (RULESET_CHARS_MAX + 1))
    with pytest.raises(CannotLoad, match="more than"):
        load_folder_or_files([tmp_path])


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "one", a_yaml="1")
    write(tmp_path / "two", a_yaml="2")
    with pytest.raises(CannotLoad, match=r"called a\.yaml"):
        load_folder_or_files([tmp_path / "one", tmp_path / "two"])
