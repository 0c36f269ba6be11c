"""The encodings that fit a file which is not UTF-8."""

# ruff: noqa: RUF001 - letters of other scripts are meant

import pytest

from pipelines.files import encodings

CHINESE = "城市,价格\n上海,24\n北京市海淀区,26\n"


@pytest.mark.parametrize(
    ("encoding", "text", "word"),
    [
        ("gbk", CHINESE, "城市"),
        ("big5", "城市,價格,買\n臺北,24,是\n高雄,26,否\n", "城市"),
        ("shift_jis", "都市,価格,はい\n東京,24,いいえ\n", "都市"),
        ("euc_jp", "都市,価格,はい\n東京,24,いいえ\n", "都市"),
        ("euc_kr", "도시,가격,구매\n서울,24,예\n", "도시"),
        ("cp1252", "name,preis\nMüller,3\nGrößer,4\nañadir,3\n", "Müller"),
        ("cp1252", "price\n5 €\n", "price"),
        ("cp1251", "город,цена\nМосква,3\n", "город"),
        ("koi8_r", "город,цена\nМосква,3\n", "город"),
        ("cp1253", "πόλη,τιμή\nΑθήνα,3\n", "πόλη"),
        ("cp437", "name\nMüller\nGrößer\n", "Müller"),
        ("mac_roman", "name\nMüller\nGrößer\n", "Müller"),
    ],
)
def test_fitting_begins_with_the_encoding_of_the_text(encoding, text, word, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    name, example = encodings.fitting(str(path))[0]
    assert (name, example.split("\n")[0]) == (encoding, word)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1250", "město,cena\nPlzeň,3\nŁódź,4\n"),
        ("cp1254", "şehir,fiyat\nİstanbul,3\nIğdır,3\n"),
    ],
)
def test_fitting_names_the_encoding_where_others_fit_too(encoding, text, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    assert encoding in [name for name, _ in encodings.fitting(str(path))]


def test_fitting_takes_a_letter_that_the_end_of_what_is_read_cuts(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(CHINESE.encode("gbk"))
    monkeypatch.setattr(encodings, "_READ", 13)
    assert encodings.fitting(str(path))[0][0] == "gbk"
