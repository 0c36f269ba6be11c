"""Files of flags: where they are found, and what of them is refused."""

import pytest

from trainers.config import flagfiles
from trainers.errors import UsageError


def test_expand_puts_flagfiles_before_the_other_flags(tmp_path):
    inner, outer = tmp_path / "inner.flags", tmp_path / "outer.flags"
    inner.write_text("# a comment\n// another\n--epochs=5\n")
    outer.write_text(f"--flagfile={inner}\n\n--batch_size=48\n")
    expected = ["run", "--epochs=5", "--batch_size=48", "--model=mlp", "--seed=9"]
    for flagfile in ([f"--flagfile={outer}"], [f"-flagfile={outer}"], ["--flagfile", str(outer)]):
        assert flagfiles.expand(["run", "--model=mlp", *flagfile, "--seed=9"]) == expected


def test_a_bare_name_is_a_recipe_of_the_package():
    assert "--model=speed_cnn" in flagfiles.expand(["run", "--flagfile=speed_cnn"])
    assert flagfiles.recipes()["speed_cnn"].startswith("speed_cnn on CIFAR-10")


def test_flagfiles_that_do_not_exist_or_include_themselves_are_refused(tmp_path):
    a, b = tmp_path / "a.flags", tmp_path / "b.flags"
    a.write_text(f"--flagfile={b}\n")
    b.write_text(f"--flagfile={a}\n")
    for arguments, message in (
        ([f"--flagfile={a}"], "includes itself"),
        (
            ["--flagfile=nowhere"],
            "'nowhere' is neither a file nor a recipe; recipes: cifar_cnn_art",
        ),
        (["--flagfile"], "needs a name or a path"),
    ):
        with pytest.raises(UsageError, match=message):
            flagfiles.expand(["run", *arguments])


def test_flagfiles_of_another_encoding_and_homes_of_nobody_are_refused(tmp_path):
    path = tmp_path / "a.flags"
    path.write_bytes(b"\xef\xbb\xbf--epochs=2\n")
    assert flagfiles.expand(["run", f"--flagfile={path}"]) == ["run", "--epochs=2"]
    path.write_bytes(b"# caf\xe9\n--epochs=2\n")
    with pytest.raises(UsageError, match="is not UTF-8"):
        flagfiles.expand(["run", f"--flagfile={path}"])
    with pytest.raises(UsageError, match="neither a file nor a recipe"):
        flagfiles.expand(["run", "--flagfile=~nobody-of-this-name/a.flags"])
