"""Packaging: three packages and the recipes; tests stay in the repository."""

import pathlib

from setuptools import find_packages, setup

setup(
    name="keras-tfds-zoo",
    version="0.1.0",
    description="Readable Keras 3 models, TFDS pipelines and one trainer, from data to SavedModel",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=("zoo*", "pipelines*", "trainers*")),
    package_data={"trainers": ["recipes/*.flags"], "trainers.reports": ["style.css"]},
    install_requires=[
        "absl-py",
        "h5py",  # keras brings it; trainers.setup.keras_file looks through its files
        "importlib_resources",  # tensorflow-datasets 4.9.10 needs it and does not say so
        "keras>=3.15.1,<3.17",  # trainers.distribute knows these versions
        "ml_dtypes",
        "numpy",
        "promise",  # of tensorflow-datasets' downloads: pipelines.fetch
        "pillow",
        "scikit-learn",
        "scipy",
        "sentencepiece",  # learns vocabularies; not needed where a model is served
        "tensorboard>=2.21",  # TensorFlow 2.21 no longer brings it
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets>=4.9.10",
    ],
    extras_require={
        "benchmark": ["torch==2.13.0"],  # benchmarks/train_speed.py compares with it
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
        "dev": ["build", "hypothesis", "pytest", "pytest-xdist", "ruff"],
    },
)
