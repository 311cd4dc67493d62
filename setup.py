"""Packaging of fairseq_neuron_plugin."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "([^"]+)"',
    (HERE / "fairseq_neuron_plugin" / "version.py").read_text(encoding="utf-8"),
).group(1)

COMMANDS = (
    "extract",
    "probe",
    "rank",
    "analyze",
    "generate",
    "eval-lm",
    "bake",
    "report",
    "explore",
    "import",
)
MODULES = {"import": "import_checkpoint"}  # of commands that no module can be named after

setup(
    name="fairseq_neuron_plugin",
    version=VERSION,
    description="Analyse and ablate individual neurons of fairseq translation models",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["fairseq_neuron_plugin", "fairseq_neuron_plugin.*"]),
    package_data={
        "fairseq_neuron_plugin": ["py.typed"],
        "fairseq_neuron_plugin.report": ["templates/*.j2", "assets/*"],
    },
    python_requires=">=3.11",
    # torch 2.6 is the first whose torch.load refuses arbitrary pickles by default.
    install_requires=[
        "torch>=2.6",
        "numpy",
        "scipy",
        "scikit-learn>=1.6",
        "threadpoolctl",
        "sacrebleu>=2.3",
        "tqdm",
        "jinja2>=3.1",
    ],
    extras_require={
        # An extra and no requirement: "fairseq" and "fairseq-fixed" own the same folder, so a
        # hard requirement would overwrite a user's own fork.
        "fairseq": ["fairseq-fixed>=0.12.3"],
        "plot": ["matplotlib"],
        "explore": ["gradio>=6"],
        "import": ["safetensors>=0.4"],
        "text": ["sacremoses", "subword-nmt", "sentencepiece"],
        # The taggers of scripts/reproduce_paper.py.
        "reproduce": ["spacy>=3.8"],
        "test": ["pytest", "pytest-xdist", "ruff", "mypy", "import-linter", "selenium"],
    },
    entry_points={
        "console_scripts": [
            f"fairseq-neuron-{name} = "
            f"fairseq_neuron_plugin.cli.{MODULES.get(name, name.replace('-', '_'))}:main"
            for name in COMMANDS
        ]
    },
)
