"""`energax doctor`: is this machine and this installation fit for work."""

from typing import Any

import typer

from .outcome import FAILED, fail, print_json
from .words import Json


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, memory, precision, folders, and the command that adds each optional part."""
    from energax.runtime.doctor import examine

    found = examine()
    if as_json:
        print_json(found)
    else:
        for line in lines(found):
            typer.echo(line)
    for problem in found["problems"]:
        fail(problem)
    if found["problems"]:
        raise typer.Exit(FAILED)


def lines(found: dict[str, Any]) -> list[str]:
    """The examination as text."""
    memory = found["memory"]
    free, total = _size(memory["available_bytes"]), _size(memory["total_bytes"])
    precision = found["precision"]
    out = [
        f"energax    {found['energax']}   Python {found['python']}   {found['platform']}",
        f"memory     {free} free of {total}, {memory['cores']} cores",
        f"precision  {precision.get('default_float', '?')} by default, matrix products {precision.get('matmul', '?')}",
    ]
    for device in found["devices"]:
        size = f", {_size(device['memory_bytes'])}" if device["memory_bytes"] else ""
        out.append(f"device     {device['name']} ({device['kind']}{size})")
    if found["sums"]:
        out.append(f"compiler   sums are right to {max(found['sums'].values()):.0e}")
    folders = found["folders"]
    out += [f"data cache {folders.get('data_cache')}", f"compiled   {folders.get('compile_cache')}", "packages"]
    out += [f"  {name:<14} {version or 'MISSING'}" for name, version in sorted(found["packages"].items())]
    out.append("optional parts")
    for part in found["optional"]:
        state = "here" if part["available"] else f"missing; add it with: {part['command']}"
        out.append(f"  {part['name']:<14} {part['purpose']}: {state}")
    out.append("All is well." if not found["problems"] else f"{len(found['problems'])} problem(s):")
    return out


def _size(number: int | None) -> str:
    return "?" if number is None else f"{number / 2**30:.1f} GiB"
