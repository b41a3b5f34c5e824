"""What pyproject.toml cannot say: a wheel has the folder models/ as `m2bert/models`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["m2bert*", "data_creation*"]), "m2bert.models"],
    package_dir={"m2bert.models": "models"},
)
