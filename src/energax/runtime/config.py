"""From a recipe's name, a file or `key=value` words to one validated `Config`, and back to text.

A recipe is data and nothing else: YAML without anchors, tags or duplicate keys, at most 64 KiB, read into the closed
schema of `schema.py`. No value is looked up in the environment and none names code.
"""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from energax.errors import ConfigError, did_you_mean

from .objectives import rules
from .refusals import sentences, shown
from .schema import TOYS, Config, options_taken

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16


# ---- reading YAML that is only data --------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """The safe loader, less aliases, duplicate keys and deep nests, and with 1e-3 a number as in YAML 1.2."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if getattr(self.peek_event(), "anchor", None) is not None:  # an anchor `&a`, or an alias `*a` to one
            raise ConfigError("a recipe must hold no YAML anchors or aliases; write the value out")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConfigError(f"a recipe must be nested at most {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                raise ConfigError(f"a recipe's keys must be plain words; got {shown(key_node.value)}")
            if key_node.value in seen:
                raise ConfigError(f"{key_node.value} must be given once; got it twice in one group")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z"), list("-+.0123456789")
)


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # a SafeLoader made stricter
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}.") from None
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{origin} must be readable YAML; got: {problem}{where}.") from None
    except ValueError as error:
        raise ConfigError(f"{origin} must be readable YAML; got: {error}.") from None


def load(path: str | Path) -> dict[str, Any]:
    """Reads a recipe file into plain dicts, lists and scalars; nothing is validated against the schema yet.

    Raises:
        ConfigError: The file is missing, no plain file, over 64 KiB, no UTF-8, or no plain YAML.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ConfigError(
                f"a recipe must be a file; got {str(path)!r}, which is {'a folder' if path.is_dir() else 'missing'}."
            )
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"a recipe must be a readable file; got {str(path)!r}: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"a recipe must be at most {MAX_BYTES} bytes; got more in {str(path)!r}.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"a recipe must be UTF-8 text; got other bytes in {str(path)!r}.") from None
    tree = _parse(text, str(path))
    if not isinstance(tree, dict):
        raise ConfigError(f"a recipe must be groups of keys; got {shown(tree)} in {str(path)!r}.")
    return {"name": _slug(path.stem), **tree}


def _slug(stem: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64] or "recipe"


# ---- shipped recipes -------------------------------------------------------------------------------------------------


def _folder() -> Any:
    return files("energax") / "runtime" / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes that ship with energax, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """The shipped recipe as it is written, comments included.

    Raises:
        ConfigError: No recipe has that name; the message names the nearest one.
    """
    names = recipe_names()
    if name not in names:  # a toy's bare name is one too: see `resolve`
        raise ConfigError(
            f"recipe must be one that `energax recipes` lists or a YAML file; got {name!r}."
            f"{did_you_mean(name, [*names, *TOYS])}"
        )
    return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def _shipped(name: str) -> dict[str, Any]:
    """The tree of a shipped recipe; a toy's bare name is its PCD recipe under that name, for words to choose a rule."""
    if name not in TOYS:
        return _parse(recipe_text(name), name)
    tree = _parse(recipe_text(f"{name}-pcd"), name)
    return {**tree, "name": name, "description": tree["description"].partition(",")[0]}


def _is_path(recipe: str) -> bool:
    return "/" in recipe or "\\" in recipe or recipe.endswith((".yaml", ".yml"))


# ---- key=value words -------------------------------------------------------------------------------------------------


def parse_override(word: str) -> tuple[str, Any]:
    """Splits `optimizer.learning_rate=3e-4` into its dotted path and its value, read as a YAML scalar or list.

    >>> parse_override("optimizer.learning_rate=3e-4")
    ('optimizer.learning_rate', 0.0003)
    """
    path, equals, text = word.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", path):
        raise ConfigError(f"an override must read key=value, the key with dots between its parts; got {shown(word)}.")
    if len(text) > 4096:
        raise ConfigError(f"{path} must be at most 4096 characters; got {len(text)}.")
    value = _parse(text, path)
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value)):
        raise ConfigError(f"{path} must be one value or a list of values, set a group key by key; got {shown(value)}.")
    return path, value


_SORTED = ("energy", "objective", "sampler", "optimizer")


def _spelled(word: str) -> str:
    """`objective=nce` is short for `objective.kind=nce`, and so for every group that comes in sorts."""
    path, _, text = word.partition("=")
    return f"{path}.kind={text}" if path in _SORTED and re.fullmatch(r"[A-Za-z]\w*", text) else word


# A word for one of these decides which others mean anything, so it is applied before them.
_SELECTORS = {"base": ("base_scale", "base_components"), "schedule": ("final_fraction",)}


def _selects(path: str) -> bool:
    return path == "data.name" or path.rpartition(".")[2] in ("kind", *_SELECTORS)


def _apply(tree: dict[str, Any], path: str, value: Any) -> None:
    """Sets one key; what the recipe said of an old kind, base, schedule or data set goes where it no longer fits."""
    *groups, leaf = path.split(".")
    node = tree
    for depth, group in enumerate(groups):
        child = node.setdefault(group, {})
        if not isinstance(child, dict):
            raise ConfigError(
                f"{path} must name an existing key; {'.'.join(groups[: depth + 1])} is a value, no group."
            )
        node = child
    if node.get(leaf) != value:
        if leaf == "kind" and groups:
            known = _fields_of_kind(groups[-1], value)
            # what is said of one training rule means something else for another: a new one starts from its defaults
            _keep(node, set() if known and path == "objective.kind" else known or set(node))
        rule = rules().get(value) if path == "objective.kind" and isinstance(value, str) else None
        if rule is not None and not rule.adapts and isinstance(tree.get("sampler"), dict):
            tree["sampler"].pop("adapt_target", None)
        for dependent in _SELECTORS.get(leaf, ()):
            node.pop(dependent, None)
        if path == "data.name" and isinstance(node.get("options"), dict):
            _keep(node["options"], options_taken(str(value)))
    node[leaf] = value


def _keep(node: dict[str, Any], known: Collection[str]) -> None:
    for key in [key for key in node if key not in known]:
        del node[key]


def _fields_of_kind(group: str, kind: Any) -> set[str]:
    field = Config.model_fields.get(group)
    for member in get_args(field.annotation) if field is not None else ():
        if isinstance(member, type) and issubclass(member, BaseModel) and member.model_fields["kind"].default == kind:
            return set(member.model_fields)
    return set()


# ---- the ways in and out ---------------------------------------------------------------------------------------------


def validate(tree: dict[str, Any]) -> Config:
    """Checks a plain tree against the schema.

    Raises:
        ConfigError: One sentence a mistake: the key, what it must be, what it is, and the nearest valid name.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(sentences(error, Config))) from None


def resolve(recipe: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a shipped recipe's name or of a YAML file, with `key=value` words applied in order.

    Args:
        recipe: A name that `recipe_names()` lists, a toy's name, or a path (it holds a slash or ends in .yaml).
        overrides: Words such as `training.steps=100`; the later of two for one key wins.

    Raises:
        ConfigError: An unknown name or key, a value out of its range, or a file that is no recipe.

    >>> resolve("digits", ["training.steps=100"]).training.steps
    100
    """
    tree = load(recipe) if isinstance(recipe, Path) or _is_path(recipe) else _shipped(recipe)
    return configured(tree, dict(parse_override(_spelled(word)) for word in overrides))


def configured(tree: dict[str, Any], settings: Mapping[str, Any]) -> Config:
    """The config of a plain tree with dotted keys set on top; keys that decide what others mean are set first.

    Raises:
        ConfigError: As `resolve`.

    >>> plain = {"name": "a", "data": {"name": "moons"}, "energy": {"kind": "mlp"}, "objective": {"kind": "nce"}}
    >>> configured(plain, {"objective.ratio": 8}).objective.ratio
    8
    """
    for path, value in sorted(settings.items(), key=lambda item: not _selects(item[0])):
        _apply(tree, path, value)
    return validate(tree)


def dump(config: Config) -> str:
    """The config as YAML, every default written out; `load` and `validate` give the same config back."""
    return yaml.safe_dump(_kind_first(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True, width=100)


def _kind_first(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _kind_first(tree[key]) if isinstance(tree[key], dict) else tree[key]
        for key in sorted(tree, key=lambda k: k != "kind")
    }


def read(path: str | Path) -> Config:
    """The config that `dump` wrote to a file, such as a run folder's config.yaml."""
    return validate(load(path))


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe, for editors and documentation."""
    return Config.model_json_schema()


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def reproduce_command(config: Config) -> str:
    """The shortest command line that trains this config again.

    A config that no shipped recipe leads to needs its own file: `energax train config.yaml`.

    >>> reproduce_command(resolve("digits", ["seed=3"]))
    'energax train digits seed=3'
    """
    fallback = "energax train config.yaml"
    if config.name not in (*recipe_names(), *TOYS):
        return fallback
    before = dict(_leaves(resolve(config.name).model_dump(mode="json")))
    missing = object()
    words = [
        f"{path}={_scalar(value)}"
        for path, value in _leaves(_kind_first(config.model_dump(mode="json")))
        if before.get(path, missing) != value
    ]
    if not _leads_to(config, words):
        return fallback
    for word in list(words):  # a new kind brings its own defaults: drop what it says anyway
        shorter = [other for other in words if other != word]
        if _leads_to(config, shorter):
            words = shorter
    return shlex.join(["energax", "train", config.name, *words])


def _leads_to(config: Config, words: Sequence[str]) -> bool:
    try:
        return resolve(config.name, words) == config
    except ConfigError:
        return False


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def known_keys() -> list[str]:
    """Every dotted key that some recipe may hold, in the order of the schema."""
    return list(dict.fromkeys(_keys(Config, "")))


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        groups = [
            member
            for member in (field.annotation, *get_args(field.annotation))
            if isinstance(member, type) and issubclass(member, BaseModel)
        ]
        for group in groups:
            yield from _keys(group, f"{prefix}{name}.")
        if not groups:
            yield prefix + name
