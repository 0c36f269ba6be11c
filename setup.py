"""Packages and their data files; the metadata is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=find_packages(include=("zoo*", "pipelines*", "trainers*")),
    package_data={"trainers": ["recipes/*.flags", "*/style.css"]},
    include_package_data=False,
)
