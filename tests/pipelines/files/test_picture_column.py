"""Which column names images, and which files these are."""

import pathlib

import pytest

from pipelines import DataError
from pipelines.files import picture_column, table_cells


def cells_of(path: pathlib.Path, header: str, rows: list[str]):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *rows]))
    return table_cells.read(table_cells.paths(str(path.parent)), "")


@pytest.fixture
def cells(tmp_path):
    rows = [f"{i},img/{i}.JPG,thumbs/{i}.png,{i / 7:.2f}" for i in range(4)]
    return cells_of(tmp_path / "t" / "a.csv", "id,file,small,price", rows)


def test_image_is_the_only_column_of_such_names(tmp_path, logged):
    cells = cells_of(tmp_path / "t" / "a.csv", "id,file,price", ["1,a.jpg,2", "2,b.jpeg,3"])
    assert picture_column.image(cells, {}, "", ["price"], "t") == "file"
    assert logged() == ["t: the images are those of file"]
    assert picture_column.image(cells, {}, "id", ["price"], "t") == "id"
    assert logged() == []


def test_image_is_the_only_other_column_whatever_it_holds(tmp_path):
    cells = cells_of(tmp_path / "t" / "a.csv", "file,price", ["a,2", "b,3"])
    assert picture_column.image(cells, {}, "", ["price"], "t") == "file"


def test_image_that_is_not_clear_is_asked_for(cells, tmp_path):
    with pytest.raises(DataError, match=r"t: 2 of its columns name image files: choose .*=<on"):
        picture_column.image(cells, {}, "", ["price"], "t")
    for asked in ("price", "id,file"):
        with pytest.raises(DataError, match=f"image={asked}: expected one column that is not the"):
            picture_column.image(cells, {}, asked, ["price"], "t")
    with pytest.raises(DataError, match=r"a\.csv:3: 'small' holds a list or an object"):
        picture_column.image(cells, {"small": "a.csv:3"}, "small", ["price"], "t")
    none = cells_of(tmp_path / "u" / "b.csv", "id,kind,price", ["1,a,2", "2,b,3"])
    with pytest.raises(DataError, match="u: none of its columns clearly names image files: choose"):
        picture_column.image(none, {}, "", ["price"], "u")


def test_pictures_are_relative_to_the_folder_of_their_table(tmp_path):
    for name in ("t/img/0.jpg", "t/1.jpg", "elsewhere/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    rows = [
        *("img/0.jpg,1", ",2", f"{tmp_path}/elsewhere/2.jpg,3"),
        *("./1.jpg,4", "../t/img/0.jpg,5", "../elsewhere/2.jpg,6"),
    ]
    found = picture_column.pictures(
        cells_of(tmp_path / "t" / "a.csv", "file,y", rows), "file", skip_bad=False
    )
    assert found.paths == [
        tmp_path / name for name in ("t/img/0.jpg", "elsewhere/2.jpg", "t/1.jpg")
    ]
    assert found.rows.tolist() == [0, 2, 3, 4, 5]
    assert found.files.tolist() == [0, 1, 2, 0, 1]
    assert (found.empty, found.missing) == (1, [])


def test_pictures_above_a_table_in_a_linked_folder_are_where_the_file_system_has_them(tmp_path):
    for name in ("img/0.jpg", "far/img/0.jpg", "far/img/1.jpg", "far/tables/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "t").symlink_to(tmp_path / "far" / "tables")
    rows = ["../img/0.jpg,1", "../img/1.jpg,2", "../tables/2.jpg,3"]
    found = picture_column.pictures(
        cells_of(tmp_path / "t" / "a.csv", "file,y", rows), "file", skip_bad=False
    )
    wanted = [tmp_path / "far" / name for name in ("img/0.jpg", "img/1.jpg", "tables/2.jpg")]
    assert [path.resolve() for path in found.paths] == [path.resolve() for path in wanted]


def test_pictures_that_do_not_exist_are_named_by_row_and_counted(tmp_path):
    path = tmp_path / "t" / "a.csv"
    cells = cells_of(path, "file,y", ["a.jpg,1", "b.jpg,2", "sub,3", "c.jpg,4"])
    (path.parent / "a.jpg").write_text("")
    (path.parent / "sub").mkdir()
    with pytest.raises(DataError) as caught:
        picture_column.pictures(cells, "file", skip_bad=False)
    assert str(caught.value) == (
        f"{path}:3: {path.parent}/b.jpg does not exist, and 2 more rows name no file that does"
    )
    found = picture_column.pictures(cells, "file", skip_bad=True)
    assert (found.rows.tolist(), len(found.missing)) == ([0], 3)
    assert found.missing[1] == f"{path}:4: {path.parent}/sub is not a file"
    (path.parent / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"a\.csv:2: .*a\.jpg does not exist, and 3 more rows name"):
        picture_column.pictures(cells, "file", skip_bad=True)
    (path.parent / "c.jpg").write_text("")
    (path.parent / "b.jpg").write_text("")
    (path.parent / "a.jpg").write_text("")
    with pytest.raises(DataError, match=r"a\.csv:4: .*sub is not a file$"):
        picture_column.pictures(cells, "file", skip_bad=False)


def test_pictures_of_a_column_that_is_empty_are_refused(tmp_path):
    cells = cells_of(tmp_path / "t" / "a.csv", "file,y", [",1", ",2"])
    with pytest.raises(DataError, match="the image 'file' is empty in every row"):
        picture_column.pictures(cells, "file", skip_bad=True)
