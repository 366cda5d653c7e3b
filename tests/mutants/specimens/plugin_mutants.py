"""Plugins that are wrong as a whole: the source of a good one, and what each changes in it."""

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
    """Return a hook in place of, or beside, those that are there."""
    return f"\n\n@hookimpl\ndef {name}({arguments}):\n    {line}\n"


def make(line: str) -> str:
    """Return a data set that is drawn by a function of this line."""
    body = f"\n\ndef make(folder):\n    {line}\n"
    return GOOD + body + hook("return [declare_photos(make=make)]", name="zoo_datasets")


@dataclass(frozen=True)
class PluginMutant:
    """A broken plugin."""

    #: From each check that must fail, and no other may, to a part of what it says.
    fails: Mapping[str, str]
    source: str = GOOD
    #: Distributions that have it; none: one that is called like its namespace.
    distributions: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


PLUGIN_MUTANTS = {
    "raises-at-its-top": PluginMutant(
        {"plugin.imported": "importing it fails: ValueError: no license file (plugin_raises_at_its_top.py:1)"},
        "raise ValueError('no license file')\n" + GOOD,
    ),
    "lacks-a-module": PluginMutant(
        {"plugin.imported": "ModuleNotFoundError: No module named 'upstream_of_nobody' (plugin_lacks_a_module.py:1)"},
        "import upstream_of_nobody\n" + GOOD,
    ),
    "imports-numpy-while-it-lists": PluginMutant(
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
    "prints-at-its-top": PluginMutant(
        {"plugin.quiet": "listing prints 'loading nets'; do that inside build(), or not at all"},
        "print('loading nets')\n" + GOOD,
    ),
    "sets-a-variable": PluginMutant(
        {"plugin.quiet": "listing changes os.environ; do that inside build()"},
        "import os\nos.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\n" + GOOD,
    ),
    "lengthens-the-path": PluginMutant(
        {"plugin.quiet": "listing changes os.environ; do that inside build()"},
        "import os\nos.environ['PATH'] += os.pathsep + '/opt/nets'\n" + GOOD,
    ),
    "starts-a-thread": PluginMutant(
        {"plugin.quiet": "listing changes the running threads; do that inside build()"},
        "import threading\nthreading.Thread(target=threading.Event().wait, args=(1,), daemon=True).start()\n" + GOOD,
    ),
    "seeds": PluginMutant(
        {"plugin.quiet": "listing changes Python's random numbers; do that inside build()"},
        GOOD + hook("import random; random.seed(0); yield declare_conv('NAMESPACE/net')"),
    ),
    "requires-what-is-not-there": PluginMutant(
        {"plugin.requirements": "requires upstream-of-nobody>=2, which is not installed"},
        requires=("upstream-of-nobody>=2", "absent; extra == 'test'"),
    ),
    "requires-a-newer-one": PluginMutant(
        {"plugin.requirements": "requires pluggy>=99, and "}, requires=("pluggy>=99", "pluggy>=1")
    ),
    "is-called-otherwise": PluginMutant(
        {"plugin.namespace": "the distribution my-nets does not show its namespace; call it zoo-is-called-otherwise"},
        distributions=("my-nets",),
    ),
    "is-claimed-twice": PluginMutant(
        {"plugin.namespace": "zoo-is-claimed-twice and zoo-is-claimed-twice-fork claim the namespace"},
        distributions=("zoo-is-claimed-twice", "zoo-is-claimed-twice-fork"),
    ),
    "Shouts": PluginMutant(
        {"plugin.namespace": "'Shouts' is no namespace; use lower-case letters"},
        "from zoo.plugin import hookimpl\n\nZOO_API = 1\n" + hook("pass", name="zoo_run_started", arguments="run"),
    ),
    "declares-at-its-top": PluginMutant(
        {"spec.fields": "BackboneSpec 'NAMESPACE/net' has params='2k'; it must be"},
        GOOD + "\n\nNET = declare_conv('NAMESPACE/net', params='2k')\n" + hook("return [NET]"),
    ),
    "forgets-its-version": PluginMutant({"plugin.api": "its ZOO_API is None; it must be 1"}, GOOD + "\ndel ZOO_API\n"),
    "is-of-the-future": PluginMutant({"plugin.api": "written for plugin API 2"}, GOOD + "\nZOO_API = 2\n"),
    "misspells-a-hook": PluginMutant(
        {"plugin.hooks": "zoo_backbone is not a hook; the hooks are zoo_backbones,"},
        GOOD + hook("yield declare_conv('NAMESPACE/net')", name="zoo_backbone"),
    ),
    "forgets-the-marker": PluginMutant(
        {"plugin.hooks": "zoo_run_finished is not marked; put @hookimpl above it"},
        GOOD + "\n\ndef zoo_run_finished(run):\n    pass\n",
    ),
    "wants-another-argument": PluginMutant(
        {"plugin.hooks": "zoo_run_finished has the unknown argument result; it takes run"},
        GOOD + hook("pass", name="zoo_run_finished", arguments="result"),
    ),
    "lists-for-an-argument": PluginMutant(
        {"plugin.hooks": "zoo_backbones has the unknown argument pattern; it takes no arguments"},
        GOOD + hook("return []", arguments="pattern"),
    ),
    "raises-while-it-lists": PluginMutant(
        {"plugin.listed": "KeyError: 'resnet' (plugin_raises_while_it_lists.py:23)."},
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
    "forgets-to-return": PluginMutant(
        {"plugin.listed": "zoo_backbones returns nothing; it must return BackboneSpecs, or yield them"},
        GOOD + hook("[declare_conv('NAMESPACE/net')]"),
    ),
    "lists-data-sets-as-backbones": PluginMutant(
        {"plugin.listed": "which is not a BackboneSpec"}, GOOD + hook("return zoo_datasets()")
    ),
    "names-differ-in-case-only": PluginMutant(
        {"plugin.names": "it lists NAMESPACE/Net and NAMESPACE/net; give one of them another name"},
        GOOD + hook("return [declare_conv('NAMESPACE/net'), declare_conv('NAMESPACE/Net')]"),
    ),
    "lists-one-twice": PluginMutant(
        {"plugin.names": "it lists NAMESPACE/net and NAMESPACE/net; give one of them another name"},
        GOOD + hook("return [declare_conv('NAMESPACE/net')] * 2"),
    ),
    "data-set-of-others": PluginMutant(
        {"plugin.datasets": "it lists the data set pets; its name must begin with NAMESPACE/"},
        GOOD + hook("return [declare_photos(name='pets')]", name="zoo_datasets"),
    ),
    "data-set-from-nowhere": PluginMutant(
        {"plugin.datasets": "has url=None; it must be set if make is None, and None otherwise"},
        GOOD + hook("return [declare_photos(make=None)]", name="zoo_datasets"),
    ),
    "data-set-with-a-license-in-prose": PluginMutant(
        {"plugin.datasets": "the license of the data set NAMESPACE/photos is 'free for research'; write its SPDX"},
        GOOD + hook("return [declare_photos(license='free for research')]", name="zoo_datasets"),
    ),
    "draws-nothing": PluginMutant(
        {"plugin.drawn": "no image of the data set NAMESPACE/photos is drawn; put some into a folder of each class"},
        make("pass"),
    ),
    "raises-while-it-draws": PluginMutant(
        {"plugin.drawn": "drawing the data set NAMESPACE/photos fails: KeyError: 'pen' (plugin_raises_while_it_draws"},
        make("draw({}['pen'])"),
    ),
    "draws-two-splits-of-one-name": PluginMutant(
        {"plugin.drawn": "what is drawn of the data set NAMESPACE/photos cannot be used: "},
        make("draw(folder); (folder / 'Train').mkdir()"),
    ),
    "draws-something-else-each-time": PluginMutant(
        {"plugin.drawn": "the data set NAMESPACE/photos is another one each time that it is drawn; seed its make"},
        make("draw(folder); import os; (folder / 'train' / 'dark' / '1.png').write_bytes(os.urandom(8))"),
    ),
    "downloads-while-it-draws": PluginMutant(
        {"plugin.drawn": "connects to ('localhost', 9); give its url, and zoo will fetch it"},
        make("import socket; socket.create_connection(('localhost', 9))"),
    ),
}
