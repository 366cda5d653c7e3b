"""Mutant plugins: the source of a good one, and the change of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GOOD = """\
from specimens.good import declare_conv, draw
from zoo.plugin import DatasetSpec, hookimpl

ZOO_API = 1


@hookimpl
def zoo_backbones():
    yield declare_conv("NAMESPACE/net")


@hookimpl
def zoo_datasets():
    return [declare_photos()]


def declare_photos(**changes):
    return DatasetSpec(**{**dict(name="NAMESPACE/photos", description="photos", license="MIT", make=draw), **changes})
"""


def hook(line: str, name: str = "zoo_backbones", arguments: str = "") -> str:
    """Return the source of another hook, or of one that replaces a hook of the good plugin."""
    return f"\n\n@hookimpl\ndef {name}({arguments}):\n    {line}\n"


def make(line: str) -> str:
    """Return the source of a plugin whose data set is drawn by a function of one line."""
    body = f"\n\ndef make(folder):\n    {line}\n"
    return GOOD + body + hook("return [declare_photos(make=make)]", name="zoo_datasets")


@dataclass(frozen=True)
class PluginMutant:
    """A broken plugin."""

    #: Part of the message of each check that must fail; no other check may fail.
    fails: Mapping[str, str]
    source: str = GOOD
    #: Distributions that contain the plugin; if empty, one with the name of its namespace.
    distributions: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


PLUGIN_MUTANTS = {
    "raises-on-import": PluginMutant(
        {"plugin.imported": "importing it fails: ValueError: no license file (plugin_raises_on_import.py:1)"},
        "raise ValueError('no license file')\n" + GOOD,
    ),
    "lacks-a-module": PluginMutant(
        {"plugin.imported": "ModuleNotFoundError: No module named 'upstream_of_nobody' (plugin_lacks_a_module.py:1)"},
        "import upstream_of_nobody\n" + GOOD,
    ),
    "imports-numpy-while-listing": PluginMutant(
        {"plugin.light": "listing imports numpy; import them inside build()"},
        GOOD + hook("import numpy; yield declare_conv('NAMESPACE/net')"),
    ),
    "imports-torch": PluginMutant(
        {"plugin.light": "listing imports numpy, torch; import them inside build()"}, "import torch\n" + GOOD
    ),
    "imports-numpy-and-lists-one-twice": PluginMutant(
        {
            "plugin.light": "listing imports numpy; import",
            "plugin.names": "it lists NAMESPACE/net and NAMESPACE/net",
        },
        "import numpy\n" + GOOD + hook("return [declare_conv('NAMESPACE/net')] * 2"),
    ),
    "prints-on-import": PluginMutant(
        {"plugin.quiet": "listing prints 'loading nets'; do that inside build(), or not at all"},
        "print('loading nets')\n" + GOOD,
    ),
    "sets-a-variable": PluginMutant(
        {"plugin.quiet": "listing changes os.environ; do that inside build()"},
        "import os\nos.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\n" + GOOD,
    ),
    "extends-path": PluginMutant(
        {"plugin.quiet": "listing changes os.environ; do that inside build()"},
        "import os\nos.environ['PATH'] += os.pathsep + '/opt/nets'\n" + GOOD,
    ),
    "starts-a-thread": PluginMutant(
        {"plugin.quiet": "listing changes the running threads; do that inside build()"},
        "import threading\nthreading.Thread(target=threading.Event().wait, args=(1,), daemon=True).start()\n" + GOOD,
    ),
    "seeds-random": PluginMutant(
        {"plugin.quiet": "listing changes Python's random numbers; do that inside build()"},
        GOOD + hook("import random; random.seed(0); yield declare_conv('NAMESPACE/net')"),
    ),
    "requires-a-missing-distribution": PluginMutant(
        {"plugin.requirements": "requires upstream-of-nobody>=2, which is not installed"},
        requires=("upstream-of-nobody>=2", "absent; extra == 'test'"),
    ),
    "requires-a-newer-version": PluginMutant(
        {"plugin.requirements": "requires pluggy>=99, but "}, requires=("pluggy>=99", "pluggy>=1")
    ),
    "has-another-name": PluginMutant(
        {"plugin.namespace": "the distribution my-nets does not contain its namespace; call it zoo-has-another-name"},
        distributions=("my-nets",),
    ),
    "has-two-claimants": PluginMutant(
        {"plugin.namespace": "zoo-has-two-claimants and zoo-has-two-claimants-fork claim the namespace"},
        distributions=("zoo-has-two-claimants", "zoo-has-two-claimants-fork"),
    ),
    "Shouts": PluginMutant(
        {"plugin.namespace": "'Shouts' is not a namespace; use lower-case letters"},
        "from zoo.plugin import hookimpl\n\nZOO_API = 1\n" + hook("pass", name="zoo_run_started", arguments="run"),
    ),
    "declares-on-import": PluginMutant(
        {"spec.fields": "BackboneSpec 'NAMESPACE/net' has params='2k'; it must be"},
        GOOD + "\n\nNET = declare_conv('NAMESPACE/net', params='2k')\n" + hook("return [NET]"),
    ),
    "has-no-api-version": PluginMutant({"plugin.api": "its ZOO_API is None; it must be 1"}, GOOD + "\ndel ZOO_API\n"),
    "has-a-future-api-version": PluginMutant({"plugin.api": "written for plugin API 2"}, GOOD + "\nZOO_API = 2\n"),
    "misspells-a-hook": PluginMutant(
        {"plugin.hooks": "zoo_backbone is not a hook; the hooks are zoo_backbones,"},
        GOOD + hook("yield declare_conv('NAMESPACE/net')", name="zoo_backbone"),
    ),
    "lacks-a-marker": PluginMutant(
        {"plugin.hooks": "zoo_run_finished is not marked; put @hookimpl above it"},
        GOOD + "\n\ndef zoo_run_finished(run):\n    pass\n",
    ),
    "has-a-wrong-argument": PluginMutant(
        {"plugin.hooks": "zoo_run_finished has the unknown argument result; it takes run"},
        GOOD + hook("pass", name="zoo_run_finished", arguments="result"),
    ),
    "has-an-unexpected-argument": PluginMutant(
        {"plugin.hooks": "zoo_backbones has the unknown argument pattern; it takes no arguments"},
        GOOD + hook("return []", arguments="pattern"),
    ),
    "raises-while-listing": PluginMutant(
        {"plugin.listed": "KeyError: 'resnet' (plugin_raises_while_listing.py:23)."},
        GOOD + hook("yield declare_conv({}['resnet'])"),
    ),
    "misspells-a-field": PluginMutant(
        {"plugin.listed": "unexpected keyword argument 'licens'; its fields are license, blocks,"},
        GOOD + hook("from zoo.plugin import BackboneSpec; yield BackboneSpec(licens='MIT')"),
    ),
    "lists-names": PluginMutant(
        {"plugin.listed": "it lists 'NAMESPACE/net', which is not a BackboneSpec"},
        GOOD + hook("return ['NAMESPACE/net']"),
    ),
    "lists-a-number": PluginMutant(
        {"plugin.listed": "zoo_backbones returns 1; it must return BackboneSpecs, or yield them"},
        GOOD + hook("return 1"),
    ),
    "returns-nothing": PluginMutant(
        {"plugin.listed": "zoo_backbones returns nothing; it must return BackboneSpecs, or yield them"},
        GOOD + hook("[declare_conv('NAMESPACE/net')]"),
    ),
    "lists-data-sets-as-backbones": PluginMutant(
        {"plugin.listed": "which is not a BackboneSpec"}, GOOD + hook("return zoo_datasets()")
    ),
    "names-differ-in-case-only": PluginMutant(
        {"plugin.names": "it lists NAMESPACE/Net and NAMESPACE/net; rename one of them"},
        GOOD + hook("return [declare_conv('NAMESPACE/net'), declare_conv('NAMESPACE/Net')]"),
    ),
    "lists-one-twice": PluginMutant(
        {"plugin.names": "it lists NAMESPACE/net and NAMESPACE/net; rename one of them"},
        GOOD + hook("return [declare_conv('NAMESPACE/net')] * 2"),
    ),
    "data-set-in-another-namespace": PluginMutant(
        {"plugin.datasets": "it lists the data set pets; its name must begin with NAMESPACE/"},
        GOOD + hook("return [declare_photos(name='pets')]", name="zoo_datasets"),
    ),
    "data-set-without-source": PluginMutant(
        {"plugin.datasets": "has url=None; it must be set if make is None, and None otherwise"},
        GOOD + hook("return [declare_photos(make=None)]", name="zoo_datasets"),
    ),
    "data-set-with-a-license-in-prose": PluginMutant(
        {"plugin.datasets": "the license of the data set NAMESPACE/photos is 'free for research'; write its SPDX"},
        GOOD + hook("return [declare_photos(license='free for research')]", name="zoo_datasets"),
    ),
    "draws-nothing": PluginMutant(
        {"plugin.drawn": "the data set NAMESPACE/photos draws no image; put some into a folder of each class"},
        make("pass"),
    ),
    "raises-while-drawing": PluginMutant(
        {"plugin.drawn": "drawing the data set NAMESPACE/photos fails: KeyError: 'pen' (plugin_raises_while_drawing"},
        make("draw({}['pen'])"),
    ),
    "draws-two-splits-with-one-name": PluginMutant(
        {"plugin.drawn": "the drawn files of the data set NAMESPACE/photos cannot be used: "},
        make("draw(folder); (folder / 'Train').mkdir()"),
    ),
    "draws-different-images-each-time": PluginMutant(
        {"plugin.drawn": "the data set NAMESPACE/photos differs each time it is drawn; seed its make"},
        make("draw(folder); import os; (folder / 'train' / 'dark' / '1.png').write_bytes(os.urandom(8))"),
    ),
    "downloads-while-drawing": PluginMutant(
        {"plugin.drawn": "connects to ('localhost', 9); declare its url, and zoo will fetch it"},
        make("import socket; socket.create_connection(('localhost', 9))"),
    ),
}
