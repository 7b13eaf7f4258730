"""The key file: links, owners, places where none can be; settings files as other systems write them."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.serve.keys import KeyFile
from zhenyan.inference.serve.settings import load_settings


@pytest.fixture
def keys(tmp_path):
    """A key file with one key, in a folder of its own."""
    (tmp_path / "real").mkdir()
    file = KeyFile(tmp_path / "real" / "keys.json")
    file.add("first")
    return file


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_through_a_link_the_file_itself_changes(tmp_path, keys):
    """A revoked key stayed valid: the link became a file of its own, and the service went on reading the other."""
    service = KeyFile(keys.path)
    link = tmp_path / "keys.json"
    link.symlink_to(keys.path)
    second = KeyFile(link).add("second")
    assert service.who(second) == "second"
    KeyFile(link).revoke("second")
    assert service.who(second) is None and set(service.names()) == {"first"}
    assert link.is_symlink() and names(tmp_path) == {"real", "keys.json"}
    assert names(keys.path.parent) == {"keys.json"}


def test_a_link_to_no_file_yet_makes_the_file(tmp_path):
    link, file = tmp_path / "link.json", tmp_path / "keys.json"
    link.symlink_to(file)
    KeyFile(link).add("first")
    assert link.is_symlink() and set(KeyFile(file).names()) == {"first"} and file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o644])
def test_the_mode_stays(keys, mode):
    keys.path.chmod(mode)
    keys.add("second")
    assert keys.path.stat().st_mode & 0o777 == mode
    keys.revoke("first")
    assert keys.path.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_owner_and_group_stay(keys):
    """The service runs as another user than the one who makes keys: it must go on reading them."""
    os.chown(keys.path, 1234, 2345)
    keys.add("second")
    found = keys.path.stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_who_got_the_file_from_root_can_change_it():
    """The lock was a file of its own that stayed root's: the service's user got "Permission denied"."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folder is shut to others
        file = KeyFile(Path(folder) / "keys.json")
        file.add("first")
        for path in (folder, file.path):
            os.chown(path, 1234, 2345)  # a group of which the user isn't, and which mode 600 gives nothing
        os.seteuid(1234)
        try:
            file.add("second")
        finally:
            os.seteuid(0)
        assert set(file.names()) == {"first", "second"}


def test_an_empty_file_is_one_without_keys(tmp_path):
    """The error said to make one with `zhenyan keys add`, which said the same."""
    file = tmp_path / "keys.json"
    file.touch(mode=0o640)
    with pytest.raises(ConfigError, match="not a key file; make one with"):
        KeyFile(file).names()
    KeyFile(file).add("first")
    assert set(KeyFile(file).names()) == {"first"} and file.stat().st_mode & 0o777 == 0o640


def test_a_file_of_someone_else_says_who_can_change_it(keys, monkeypatch):
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(
        ConfigError, match="locked: Permission denied; change the keys as the file's owner or with sudo"
    ):
        keys.add("second")


def test_a_file_that_may_not_be_read_says_for_whom(keys, monkeypatch):
    """As in a container, whose user is another than the file's."""

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match=f"cannot be read: Permission denied; let user {os.geteuid()}, as which"):
        keys.names()


def test_a_file_that_would_change_its_owner_is_left_alone(keys, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    keys.path.chmod(0o640)
    before = keys.path.read_bytes()
    with pytest.raises(
        ConfigError, match=rf"belongs to user {os.geteuid()} and group .*; change the keys as that user"
    ):
        keys.add("second")
    assert keys.path.read_bytes() == before and names(keys.path.parent) == {"keys.json"}


@pytest.mark.parametrize("given", ["", ".", "..", "/", "folder"])
def test_a_folder_is_no_key_file(tmp_path, monkeypatch, given):
    (tmp_path / "inside" / "folder").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(Path(given)))}: is a folder; name a file$"):
        KeyFile(Path(given)).add("first")
    assert names(tmp_path) == {"inside"} and names(tmp_path / "inside") == {"folder"}


def test_a_missing_folder_is_told_with_the_file_that_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        KeyFile(Path("nosuch/keys.json")).add("first")
    told = str(refused.value)
    assert told.startswith("nosuch/keys.json: cannot be written and locked") and "No such file or directory" in told
    assert told.endswith("; name a file in a folder that exists and can be written")


def test_a_settings_file_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text("max_texts = 5\n", encoding="utf-8-sig")
    assert load_settings(file, {}).max_texts == 5
