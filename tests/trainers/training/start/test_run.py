"""What a run takes over from a finished one: its weights, and the state that makes its inputs."""

import dataclasses
import types

import numpy as np
import pytest

from pipelines import Form, Pipeline, Schema
from tests.conftest import tiny_settings
from trainers.errors import ArtefactError, UsageError
from trainers.training.start import run
from zoo.spec import Field

TEXT = Schema({"text": Field((), "string")}, "binary", Field((), "int64", ids=2), ("no", "yes"))
PART = {"vocabulary": np.array([b"a", b"b"]), "vocab_size": np.int64(500)}


def pieces(fit=lambda rows: pytest.fail("fitted anew"), leaves_out=None) -> Pipeline:
    return Pipeline(
        name="docstrings",
        source="docstrings",
        forms={
            "pieces": Form(fit=fit, leaves_out=leaves_out),
            "ngrams": Form(fit=fit),
            "columns": Form(fit=fit),
            "raw": Form(),
        },
    )


@pytest.fixture
def adopted(tmp_path, monkeypatch):
    """A function that adopts from a run of this state and schema."""

    def adopt(
        *,
        form="",
        state=None,
        schema=TEXT,
        options=(),
        task_options=(),
        sources=("past",),
        leaves_out=None,
        pipeline=None,
        train=None,
    ):
        (tmp_path / "past").mkdir(exist_ok=True)
        (tmp_path / "past" / "run.json").touch()
        (tmp_path / "a.keras").touch()
        settings = tiny_settings(
            "transformer_encoder",
            tmp_path / "run",
            init_from=tuple(str(tmp_path / source) for source in sources),
            pipeline_options=dict(options),
            task_options=dict(task_options),
        )
        recipe = types.SimpleNamespace(pipeline="imdb")
        past = types.SimpleNamespace(
            state={"inputs/pieces": PART, "target": {"mean": 1}} if state is None else state,
            schema=TEXT,
            settings=types.SimpleNamespace(recipe=recipe),
        )
        monkeypatch.setattr(run, "finished", lambda folder: past)
        pipeline = pipeline or pieces(leaves_out=leaves_out)
        return run.adopted_state(settings, pipeline, schema, train, form)

    return adopt


def test_adopted_state_is_the_part_of_the_inputs_alone(adopted):
    assert adopted() == {"inputs/pieces": PART}
    assert adopted(sources=("a.keras", "past")) == {"inputs/pieces": PART}


def test_nothing_is_adopted_from_a_file_or_for_a_form_without_state(adopted):
    assert adopted(sources=()) == {}
    assert adopted(sources=("a.keras",)) == {}
    assert adopted(form="raw") == {}


def test_a_run_without_that_part_is_refused(adopted):
    with pytest.raises(ArtefactError, match=r"trained on imdb, which has no .* 'ngrams'"):
        adopted(form="ngrams")


def test_a_run_that_read_other_fields_is_refused(adopted):
    other = TEXT._replace(raw={"title": Field((), "string"), "text": Field((), "string")})
    with pytest.raises(ArtefactError, match="made its inputs of text, docstrings has title, text"):
        adopted(schema=other)


def test_a_text_may_have_another_name(adopted):
    other = TEXT._replace(raw={"review": Field((), "string")})
    assert adopted(schema=other) == {"inputs/pieces": PART}
    state = {"inputs/columns": PART}
    with pytest.raises(ArtefactError, match="made its inputs of text, docstrings has review"):
        adopted(form="columns", state=state, schema=other)


def test_columns_that_the_form_leaves_out_may_differ(adopted):
    more = TEXT._replace(raw={**TEXT.raw, "note": Field((), "string")})
    with pytest.raises(ArtefactError, match="made its inputs of text, docstrings has text, note"):
        adopted(schema=more)
    without = lambda train, part: ["note"] if part is PART else []
    assert adopted(schema=more, leaves_out=without) == {"inputs/pieces": PART}


def test_an_option_that_the_part_records_may_not_differ(adopted):
    with pytest.raises(UsageError, match=r"vocab_size=700, but .* trained with vocab_size=500"):
        adopted(options={"vocab_size": 700})
    assert adopted(options={"vocab_size": 500}) == {"inputs/pieces": PART}
    assert adopted(options={"max_length": 64}) == {"inputs/pieces": PART}
    part = {"merges": np.zeros((0, 2), np.int32), "tokenizer": np.array("bytes")}
    with pytest.raises(UsageError, match=r"tokenizer=pieces, but .* trained with tokenizer=bytes"):
        adopted(options={"tokenizer": "pieces"}, state={"inputs/pieces": part})
    assert adopted(state={"inputs/pieces": part}) == {"inputs/pieces": part}


def test_images_of_8_bits_have_no_state_to_adopt(adopted):
    """Of 16 bits their largest value is known: both runs have it or none."""
    rows = object()
    fitted = {"narrow": {}, "wide": {"largest": np.array(4095)}}
    for kind, expected in (("narrow", {}), ("wide", None)):
        pipeline = pieces(fit=lambda train, kind=kind: fitted[kind])
        if expected is None:
            with pytest.raises(ArtefactError, match="no fitted state"):
                adopted(form="ngrams", pipeline=pipeline, train=rows)
        else:
            assert adopted(form="ngrams", pipeline=pipeline, train=rows) == expected


def test_options_of_a_task_are_compared_where_it_makes_the_inputs(adopted):
    past = {"state": {"inputs/ngrams": PART, "inputs/words": PART}}
    other = {"vocab_size": 700}
    words = dataclasses.replace(pieces(), forms={"words": Form(fit=lambda rows: {})})
    assert adopted(form="words", pipeline=words, options=other, **past) == {"inputs/words": PART}
    with pytest.raises(UsageError, match=r"--task_options: vocab_size=700, but .* vocab_size=500"):
        adopted(form="words", pipeline=words, task_options=other, **past)
    part = {"ngrams": np.array("both")}
    state = {"inputs/ngrams": part}
    assert adopted(form="ngrams", state=state, options={"ngrams": "auto"}) == state
    with pytest.raises(UsageError, match=r"ngrams=words, but .* trained with ngrams=both"):
        adopted(form="ngrams", state=state, options={"ngrams": "words"})


def test_a_run_that_split_its_data_otherwise_is_warned_of(tmp_path, monkeypatch, caplog):
    def settings(pipeline, **options):
        recipe = types.SimpleNamespace(pipeline=pipeline)
        return types.SimpleNamespace(recipe=recipe, pipeline_options=options)

    past = types.SimpleNamespace(weights={"a": 1}, settings=settings("text_lines", test=0.2))
    monkeypatch.setattr(run, "finished", lambda folder: past)
    for same in (settings("text_table"), settings("imdb"), settings("text_folder", split_seed=0)):
        assert run.weights(tmp_path, same) == {"a": 1}
    assert caplog.text == ""
    assert run.weights(tmp_path, settings("text_table", split_seed=1)) == {"a": 1}
    assert "split_seed=0, validation=0.1, test=0.2, this run by split_seed=1" in caplog.text
