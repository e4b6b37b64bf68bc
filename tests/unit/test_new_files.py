"""Files under temporary names."""

import os

from stablemem.new_files import create_beside, sync_folder, take_after


def test_a_new_file_is_beside_its_name_and_private_if_asked(tmp_path):
    path = str(tmp_path / ("n" * 250))
    for private in (False, True):
        descriptor, made = create_beside(path, private)
        os.close(descriptor)
        assert os.path.dirname(made) == str(tmp_path)
        assert os.path.basename(made).startswith(".nnnnnnnnnnnnnnnn.")
        assert not private or os.stat(made).st_mode & 0o077 == 0
        os.unlink(made)
    sync_folder(path)


def test_a_new_file_takes_after_an_old_one(tmp_path):
    old = tmp_path / "old"
    old.touch()
    old.chmod(0o640)
    with open(old, "rb") as file:
        descriptor, made = create_beside(str(old), private=True)
        take_after(descriptor, file.fileno())
        os.close(descriptor)
    assert os.stat(made).st_mode & 0o777 == 0o640
    os.unlink(made)
