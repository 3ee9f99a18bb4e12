"""Turns what pydantic says about a recipe into sentences: the key, what it must be, what it is."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from energax.errors import did_you_mean

SHORT_NAMES = {
    "cd": "contrastive_divergence",
    "pcd": "persistent_cd",
    "fpcd": "fast_weights_pcd",
    "fast_weights": "fast_weights_pcd",
    "replay": "replay_sgld",
    "tempered": "tempered_pcd",
    "mle": "exact_likelihood",
    "sm": "score_matching",
    "ssm": "sliced_score_matching",
    "sliced": "sliced_score_matching",
    "finite_difference": "finite_difference_score_matching",
    "dsm": "denoising",
    "multiscale": "multiscale_denoising",
    "infonce": "ranking_nce",
    "tre": "telescoping_nce",
    "ksd": "kernel_stein",
    "lsd": "learned_stein",
    "mpf": "minimum_probability_flow",
}
"""What papers and the audit's tables call a training rule -> its name in a recipe, to be suggested."""


def shown(value: Any) -> str:
    """A value as a message shows it: YAML's null, true and false, and at most 60 characters."""
    text = {None: "null", True: "true", False: "false"}.get(value) if value is None or isinstance(value, bool) else None
    text = repr(value) if text is None else text
    return text if len(text) <= 60 else text[:57] + "..."


def sentences(error: ValidationError, root: type[BaseModel], most: int = 6) -> list[str]:
    """One sentence a mistake, at most `most` of them.

    Args:
        error: What `root.model_validate` raised.
        root: The model that was validated; its fields tell which keys exist.
        most: How many mistakes are told before the rest is only counted.
    """
    found = list(dict.fromkeys(_sentence(item, root) for item in error.errors(include_url=False)))
    rest = len(found) - most
    return found if rest <= 0 else [*found[:most], f"... and {rest} more."]


_MUST = {
    "greater_than": ("gt", "must be > {}"),
    "greater_than_equal": ("ge", "must be >= {}"),
    "less_than": ("lt", "must be < {}"),
    "less_than_equal": ("le", "must be <= {}"),
    "finite_number": ("", "must be a finite number"),
    "int_from_float": ("", "must be a whole number"),
    "int_parsing": ("", "must be a whole number"),
    "int_parsing_size": ("", "must be a smaller whole number"),
    "int_type": ("", "must be a whole number"),
    "float_parsing": ("", "must be a number"),
    "float_type": ("", "must be a number"),
    "bool_parsing": ("", "must be true or false"),
    "bool_type": ("", "must be true or false"),
    "string_type": ("", "must be text"),
    "string_too_short": ("min_length", "must be text of at least {} character(s)"),
    "string_too_long": ("max_length", "must be text of at most {} characters"),
    "tuple_type": ("", "must be a list"),
    "too_short": ("min_length", "must be a list of at least {}"),
    "too_long": ("max_length", "must be a list of at most {}"),
    "model_type": ("", "must be a group of keys"),
    "model_attributes_type": ("", "must be a group of keys"),
    "dict_type": ("", "must be a group of keys"),
    "missing": ("", "must be given"),
}


def _sentence(item: Any, root: type[BaseModel]) -> str:
    sort, context, got = item["type"], item.get("ctx", {}), item.get("input")
    path, model = _walk(item["loc"], root)
    key = ".".join(path) or "the recipe"
    if sort == "extra_forbidden":
        return f"{key} is no key of this recipe; got {shown(got)}.{_nearest_key(path, model, root)}"
    if sort == "value_error":
        message = str(context["error"])
        if message.startswith("must"):
            return f"{key} {message}; got {shown(got)}."
        owner = path[0] + "." if path and not message.startswith((path[0], "name", "out")) else ""
        return f"{owner}{message}" + ("" if message.endswith("?") else ".")
    if sort in ("literal_error", "union_tag_invalid", "union_tag_not_found"):
        return _choice(item, key)
    if sort == "missing":
        return f"{key} must be given; got nothing."
    limit, must = _MUST.get(sort, ("", ""))
    if not must:
        return f"{key}: {item['msg']}; got {shown(got)}."
    bound = context.get(limit)
    bound = int(bound) if isinstance(bound, float) and bound.is_integer() else bound
    return f"{key} {must.format(bound)}; got {shown(got)}."


def _choice(item: Any, key: str) -> str:
    context, got = item.get("ctx", {}), item.get("input")
    listed = context.get("expected", context.get("expected_tags", ""))
    choices = [word.strip(" '") for word in listed.replace(" or ", ", ").split(",") if word.strip(" '")]
    if item["type"] != "literal_error":
        key, got = key + ".kind", got.get("kind") if isinstance(got, dict) else got
    if item["type"] == "union_tag_not_found":
        return f"{key} must be given, one of {', '.join(choices) or 'the listed kinds'}; got nothing."
    which = (
        "one that `energax recipes --objectives` lists" if key == "objective.kind" else f"one of {', '.join(choices)}"
    )
    meant = SHORT_NAMES.get(str(got).lower()) if key == "objective.kind" else None
    return f"{key} must be {which}; got {shown(got)}.{did_you_mean(meant or got, choices)}"


def _walk(loc: Sequence[Any], root: type[BaseModel]) -> tuple[list[str], type[BaseModel] | None]:
    """The dotted path without pydantic's union tags, and the model that owns its last key."""
    path: list[str] = []
    owner: type[BaseModel] | None = root
    kinds: dict[str, type[BaseModel]] = {}
    for part in loc:
        if part in kinds:
            owner, kinds = kinds[part], {}
            continue
        path.append(str(part))
        field = owner.model_fields.get(part) if owner is not None and isinstance(part, str) else None
        if field is None or part is loc[-1]:
            continue
        annotation = field.annotation
        members = [m for m in (annotation, *get_args(annotation)) if isinstance(m, type) and issubclass(m, BaseModel)]
        if len(members) == 1:
            owner = members[0]
        else:
            kinds = {m.model_fields["kind"].default: m for m in members}
    return path, owner


_SYNONYMS = {"lr": "learning_rate", "bs": "batch_size", "batch": "batch_size", "epochs": "steps", "iterations": "steps"}


def _nearest_key(path: Sequence[str], owner: type[BaseModel] | None, root: type[BaseModel]) -> str:
    """Where an unknown key may belong: here, in another kind of this group, in another group; else what is known."""
    here = sorted(owner.model_fields) if owner is not None else []
    prefix = "".join(part + "." for part in path[:-1])
    word = _SYNONYMS.get(path[-1], path[-1])
    near = [word] if word in here else difflib.get_close_matches(word[:80], here, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{prefix}{near[0]}'?"
    elsewhere: dict[str, str] = {}
    for group, field in root.model_fields.items():
        for member in (field.annotation, *get_args(field.annotation)):
            if isinstance(member, type) and issubclass(member, BaseModel):
                for key in member.model_fields:
                    elsewhere.setdefault(key, f"{group}.{key}")
                if group == path[0] and word in member.model_fields:
                    return f" It is known where {group}.kind is {member.model_fields['kind'].default}."
    near = difflib.get_close_matches(word[:80], list(elsewhere), n=1, cutoff=0.75)
    return f" Did you mean '{elsewhere[near[0]]}'?" if near else f" Known here: {', '.join(here)}."
