from __future__ import annotations

from pathlib import Path

import pytest

from zoo.data.sources.torchvision_catalog import find_entry
from zoo.errors import SettingsError
from zoo.registry.recipe import make_recipe
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import DATASET_FIELDS, RegistryToml, list_layers, load_registry_toml


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into an empty folder and return the path of its registry.toml."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder / "registry.toml"


@pytest.fixture
def users(own_cache: Path) -> Path:
    """Return the path of the user's registry.toml."""
    return own_cache / "config" / "zoo" / "registry.toml"


PHOTOS = '[datasets.photos]\nurl = "https://example.org/{}.zip"\n'


@pytest.mark.usefixtures("project")
def test_the_packaged_file_defines_the_order_and_the_data_sets() -> None:
    assert [path.name for path in list_layers()] == ["registry.toml"]
    settings = load_registry_toml()
    assert settings.order[0] == "torchvision"
    assert {"cats_dogs", "hymenoptera"} <= settings.datasets.keys()
    for spec in settings.datasets.values():
        is_pinned = spec.sha256 is not None or str(spec.source).startswith("torchvision:")  # torchvision pins them
        assert is_pinned, f"{spec.name} would be downloaded unverified"


def test_the_layers_are_the_packaged_the_user_s_and_the_project_s_file(project: Path, users: Path) -> None:
    write(project, "")
    write(users, "")
    assert [path.resolve() for path in list_layers()[1:]] == [users.resolve(), project.resolve()]


@pytest.mark.usefixtures("project")
def test_the_user_s_file_wins_over_the_packaged_one(users: Path) -> None:
    write(users, '[resolve]\norder = ["timm"]\n[aliases]\nnet = "timm/net"\n' + PHOTOS.format("users"))
    settings = load_registry_toml()
    assert settings.order == ("timm",)
    assert settings.aliases["net"] == "timm/net"
    assert settings.datasets["photos"].url == "https://example.org/users.zip"
    assert "cats_dogs" in settings.datasets


def test_the_project_s_file_wins_over_the_user_s(project: Path, users: Path) -> None:
    write(users, '[resolve]\norder = ["timm"]\n[aliases]\na = "x/1"\nb = "x/2"\n' + PHOTOS.format("users"))
    write(project, '[resolve]\norder = ["acme", "timm"]\n[aliases]\na = "y/1"\n' + PHOTOS.format("project"))
    settings = load_registry_toml()
    assert settings.order == ("acme", "timm")
    assert {"a": "y/1", "b": "x/2"}.items() <= settings.aliases.items()
    assert settings.datasets["photos"].url == "https://example.org/project.zip"


def test_a_layer_without_an_order_keeps_the_earlier_one(tmp_path: Path) -> None:
    earlier = write(tmp_path / "a.toml", '[resolve]\norder = ["timm"]\n')
    later = write(tmp_path / "b.toml", "[resolve]\n")
    assert load_registry_toml([earlier, later]).order == ("timm",)


def test_a_later_data_set_replaces_all_fields_of_an_earlier_one(tmp_path: Path) -> None:
    digest = "a" * 64
    earlier = write(tmp_path / "a.toml", f'{PHOTOS.format("a")}size = 5\nroot = "photos"\n')
    later = write(tmp_path / "b.toml", f'{PHOTOS.format("b")}sha256 = "{digest}"\n')
    assert load_registry_toml([earlier]).datasets["photos"].root == "photos"
    photos = load_registry_toml([earlier, later]).datasets["photos"]
    assert (photos.sha256, photos.size, photos.root) == (digest, None, ".")


#: Definitions of data sets whose files are not verified.
UNVERIFIED = ['url = "https://example.org/other.zip"', 'source = "hf:owner/other"']


@pytest.mark.parametrize("definition", UNVERIFIED)
@pytest.mark.parametrize("name", ["cats_dogs", "hymenoptera", "pets", "cifar10"])
@pytest.mark.parametrize("layer", ["project", "users"])
def test_a_verified_data_set_of_zoo_cannot_be_replaced_by_an_unverified_one(
    request: pytest.FixtureRequest, project: Path, layer: str, name: str, *, definition: str
) -> None:
    assert project.name == "registry.toml"
    write(request.getfixturevalue(layer), f"[datasets.{name}]\n{definition}\n")
    with pytest.raises(
        SettingsError, match=rf"\[datasets.{name}\] has no sha256, .* from zoo's own registry.toml; add"
    ):
        load_registry_toml()


@pytest.mark.parametrize("definition", UNVERIFIED)
@pytest.mark.parametrize(
    "verified", [f'url = "https://example.org/a.zip"\nsha256 = "{"a" * 64}"', 'source = "torchvision:DTD"']
)
def test_a_project_cannot_unpin_a_data_set_of_the_user(
    project: Path, users: Path, verified: str, definition: str
) -> None:
    write(users, f"[datasets.photos]\n{verified}\n")
    write(project, f"[datasets.photos]\n{definition}\n")
    with pytest.raises(SettingsError) as caught:
        load_registry_toml()
    assert "registry.toml: [datasets.photos] has no sha256, but replaces a data set" in str(caught.value)
    assert f"from {users};" in str(caught.value)


@pytest.mark.parametrize(
    "definition", [f'url = "https://example.org/b.zip"\nsha256 = "{"b" * 64}"', 'source = "torchvision:DTD"']
)
def test_a_verified_data_set_can_be_replaced_by_another_verified_one(project: Path, definition: str) -> None:
    write(project, f"[datasets.cats_dogs]\n{definition}\n[datasets.pets]\n{definition}\n")
    assert load_registry_toml().defined_in.keys() == {"cats_dogs", "pets"}


def test_a_data_set_is_known_with_the_file_that_defines_it(project: Path) -> None:
    digest = "0" * 64
    write(project, f'[datasets.cats_dogs]\nurl = "https://example.org/other.zip"\nsha256 = "{digest}"\n')
    registry = Registry([])
    assert registry.find_definition(registry.get_dataset("cats_dogs")) == Path("registry.toml")
    assert registry.find_definition(registry.get_dataset("hymenoptera")) is None


def test_the_fields_of_a_data_set_have_defaults(tmp_path: Path) -> None:
    pets = load_registry_toml([write(tmp_path / "a.toml", PHOTOS.format("a"))]).datasets["photos"]
    assert (pets.name, pets.description, pets.license, pets.size) == ("photos", "photos", "unknown", None)


def test_without_layers_the_settings_are_empty() -> None:
    assert load_registry_toml([]) == RegistryToml()


def test_every_field_of_a_data_set_can_be_set(tmp_path: Path) -> None:
    values = {
        "description": "Pets",
        "url": "https://example.org/p.zip",
        "size": 5,
        "sha256": "a" * 64,
        "root": "photos",
        "license": "MIT",
        "citation": "A. Author. Pets. 2026.",
    }
    assert {*values, "source"} == set(DATASET_FIELDS)
    lines = (f"{name} = {value!r}" for name, value in values.items())
    pets = load_registry_toml([write(tmp_path / "a.toml", "[datasets.photos]\n" + "\n".join(lines))]).datasets["photos"]
    assert {name: getattr(pets, name) for name in values} == values


def test_a_data_set_can_be_another_name_for_a_source(tmp_path: Path) -> None:
    text = "[datasets.photos]\nsource = 'torchvision:OxfordIIITPet'\n"
    pets = load_registry_toml([write(tmp_path / "a.toml", text)]).datasets["photos"]
    assert (pets.source, pets.url, pets.make) == ("torchvision:OxfordIIITPet", None, None)


@pytest.mark.parametrize("name", ["cifar10", "flowers102", "food101", "pets"])
def test_the_data_sets_of_torchvision_in_zoos_own_file_exist_and_are_cited(name: str) -> None:
    spec = load_registry_toml(list_layers()[:1]).datasets[name]
    prefix, _, value = str(spec.source).partition(":")
    assert prefix == "torchvision"
    assert find_entry(value)[0] == value
    assert spec.citation


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{PHOTOS.format('a')}source = 'torchvision:MNIST'\n", "'photos' has url="),
        ("[datasets.photos]\nsource = 'https://example.org/a.zip'\n", "'photos' has source="),
        (
            "[datasets.photos]\nsource = 'MNIST'\n",
            "'photos' has source='MNIST'; it must be a prefix, a colon and a name",
        ),
        (
            "[datasets.photos]\nsource = 'hf:a/b'\nroot = 'x'\n",
            "'photos' has root='x'; it must be '.' if source is set",
        ),
        ("[resolv]\n", "unknown table 'resolv'; use one of resolve, aliases, datasets"),
        ("order = []\n", "unknown table 'order'"),
        ("[resolve]\nordr = []\n", "[resolve] ordr: unknown key 'ordr'; use one of order"),
        (f"{PHOTOS.format('a')}uri = 'x'\n", "[datasets.photos]: unknown key 'uri'; use one of description, url"),
        ("[resolve]\norder = 'timm'\n", "[resolve] order: Expected `array`, got `str`"),
        ("[resolve]\norder = ['timm', 3]\n", "[resolve] order[1]: Expected `str`, got `int`"),
        ("resolve = 3\n", "resolve is 3; it must be a table"),
        ("aliases = []\n", "aliases is []; it must be a table"),
        ("datasets = 'x'\n", "datasets is 'x'; it must be a table"),
        ("[datasets]\nphotos = 'x'\n", "[datasets.photos]: Expected `object`, got `str`"),
        ("[aliases]\nnet = 3\n", "[aliases] net: Expected `str`, got `int`"),
        ("[aliases.net]\nto = 'x'\n", "[aliases] net: Expected `str`, got `object`"),
        (f"{PHOTOS.format('a')}size = '5'\n", "[datasets.photos] size: Expected `int`, got `str`"),
        (f"{PHOTOS.format('a')}sha256 = 'abc'\n", "'photos' has sha256='abc'"),
        ("[datasets.photos]\nurl = 'example.org'\n", "'photos' has url='example.org'"),
        ("[datasets.'a b']\nurl = 'https://example.org/a.zip'\n", "has name='a b'"),
        ("[datasets.photos]\n", "[datasets.photos] has no url; add the https://... URL of an archive"),
        (f"{PHOTOS.format('a')}root = '../..'\n", "'photos' has root='../..'"),
        ("[resolve\n", "cannot be read"),
        ("a = 1\na = 2\n", "cannot be read"),
        (f"aliases = {'[' * 5000}{']' * 5000}\n", "cannot be read: it is nested too deeply"),
        (f"[{'.'.join('a' * 5000)}]\n", "cannot be read: line 1 has more than 100 dots"),
        ("x" * 2**19, "cannot be read: it is larger than 256 KiB"),
        (f"[recipes.a]\nseed = {'1' * 10_000}\n", "cannot be read: Exceeds the limit"),
        ("[recipes.a]\nlr = nan\n", "cannot be read: nan is not a finite number"),
        ("[recipes.a]\nlr = 1e999\n", "cannot be read: 1e999 is not a finite number"),
        ("[recipes.a]\nexpected = 5\n", "[recipes.a] expected: Expected `str`, got `int`"),
        ("[recipes.a]\nexpected = 2026-01-01\n", "[recipes.a] expected: Expected `str`"),
        (
            "[recipes.a]\ntrain = '\\u001b[31m'\n".replace("'", '"'),
            "[recipes.a]: '\\x1b[31m' has unprintable characters",
        ),
        ('[aliases]\nnet = "a\\nError: b"\n', "[aliases] net: 'a\\nError: b' has unprintable characters"),
        ('[aliases]\n"a\\u202e" = "timm/net"\n', "has unprintable characters"),
        ("[aliases]\nnet = ''\n", "[aliases] net: Expected `str` of length >= 1"),
        (f"[aliases]\nnet = '{'a' * 2000}'\n", "[aliases] net: Expected `str` of length <= 1000"),
        ("[aliases]\nnet = 'a'\nnet = 'b'\n", "cannot be read: Cannot overwrite a value"),
        (f"{PHOTOS.format('a')}{PHOTOS.format('b')}", "cannot be read: Cannot declare ('datasets', 'photos') twice"),
        ("[recipes.a]\nbatch-size = 1\nbatch_size = 2\n", "[recipes.a] has both batch-size and batch_size; keep one"),
        ("[resolve]\norder = ['timm', ['a']]\n", "[resolve] order[1]: Expected `str`, got `array`"),
    ],
)
def test_invalid_content_is_refused_with_the_name_of_the_file_on_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path / "registry.toml", text)
    with pytest.raises(SettingsError) as caught:
        load_registry_toml([path])
    message = str(caught.value)
    assert len(message) < len(str(path)) + 300
    assert message.startswith(str(path))
    assert says in message
    assert "\n" not in message


def test_a_file_that_is_not_utf_8_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(b"[aliases]\nnet = '\xff'\n")
    with pytest.raises(SettingsError, match=r"registry\.toml cannot be read"):
        load_registry_toml([path])


@pytest.mark.usefixtures("project")
def test_an_error_in_the_user_s_file_names_the_file(users: Path) -> None:
    write(users, "[resolv]\n")
    with pytest.raises(SettingsError) as caught:
        load_registry_toml()
    assert str(users) in str(caught.value)


# Recipes.


def test_a_recipe_has_options_and_an_expected_result(tmp_path: Path) -> None:
    text = '[recipes.careful]\nexpected = "98%"\ntrain = "head-then-all"\nweight-decay = 0.1\n'
    recipe = load_registry_toml([write(tmp_path / "one.toml", text)]).recipes["careful"]
    assert recipe.expected == "98%"
    assert recipe.options == {"train": "head-then-all", "weight_decay": 0.1}


def test_a_later_recipe_replaces_all_options_of_an_earlier_one(tmp_path: Path) -> None:
    one = write(tmp_path / "one.toml", "[recipes.a]\nepochs = 3\nseed = 1\n[recipes.b]\nepochs = 4\n")
    two = write(tmp_path / "two.toml", "[recipes.a]\nepochs = 5\n")
    recipes = load_registry_toml([one, two]).recipes
    assert {name: dict(recipe.options) for name, recipe in recipes.items()} == {"a": {"epochs": 5}, "b": {"epochs": 4}}


@pytest.mark.usefixtures("project")
def test_the_packaged_recipes_are_valid_and_have_an_expected_result() -> None:
    recipes = load_registry_toml().recipes
    assert {"fast", "accurate"} <= recipes.keys()
    for recipe in recipes.values():
        make_recipe(dict(recipe.options))
        assert recipe.expected


@pytest.mark.parametrize("text", ["recipes = 3", "[recipes]\nfast = 3", "[recipes.fast]\nexpected = 98"])
def test_an_invalid_recipe_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"one\.toml: .*(it must be a table|Expected `(object|str)`, got `int`)"):
        load_registry_toml([write(tmp_path / "one.toml", text)])
