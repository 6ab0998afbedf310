"""What `GET /v1/models` lists: the names that clients may use, in llama-swap's shape. Pure.

Rule 1: there is a record for each local model, for each alias if the configuration wants that, for
each peer's model, each selector, and each pin of the active profile. What is unlisted has none,
neither has a name that is turned off.
Rule 2: the operator's own `metadata` goes along as it is, but what we say ourselves goes before.
Rule 3: a field with nothing in it is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from swapd.config.kinds import Modality, Strategy
from swapd.config.settings import Capabilities, Model, Profile, Settings
from swapd.config.values import Value
from swapd.ids import ModelId
from swapd.schedule.phase import Phase

PhaseOf = Callable[[ModelId], Phase]
Record = dict[str, Any]

# Not llama-swap's, to which whatever has a process is loaded: who reads this wants to know whether
# an answer comes at once.
STATUS = {
    Phase.STOPPED: "unloaded",
    Phase.STARTING: "loading",
    Phase.READY: "loaded",
    Phase.STOPPING: "unloaded",
    Phase.FAILED: "failed",
}

# Fields that capabilities fill; metadata of these names would tell them a second time.
FILLED = frozenset(("architecture", "capabilities", "supported_parameters", "context_length"))

# What it is called to make the one of the other.
CONVERSIONS = {
    "audio_transcriptions": (Modality.AUDIO, Modality.TEXT),
    "audio_speech": (Modality.TEXT, Modality.AUDIO),
    "image_generation": (Modality.TEXT, Modality.IMAGE),
    "image_to_image": (Modality.IMAGE, Modality.IMAGE),
}


def records(
    settings: Settings, phase: PhaseOf, *, profile: Profile | None, now: int
) -> list[Record]:
    """List everything by id, as if all of it had been made `now`, in Unix time."""
    entries = [
        *_models(settings, phase),
        *_peers(settings),
        *_selectors(settings, phase),
        *_pins(settings, profile),
    ]
    # By code points, which is the order of their bytes, too.
    return [_record(entry, now) for entry in sorted(entries, key=lambda entry: entry.id)]


@attrs.frozen
class _Entry:
    """A name, and what there is to say about it."""

    id: str
    status: str
    ours: Mapping[str, Value]
    """What we say beside the operator's own metadata."""
    name: str = ""
    description: str = ""
    metadata: Mapping[str, Value] = attrs.field(factory=dict)
    can: Capabilities = attrs.field(factory=Capabilities)


def _models(settings: Settings, phase: PhaseOf) -> Iterator[_Entry]:
    for model in settings.models.values():
        if model.unlisted:
            continue
        status = STATUS[phase(model.id)]
        aliases: dict[str, Value] = {"aliases": list(model.aliases)} if model.aliases else {}
        yield _model(model, model.id, status, {"type": "model", **aliases})
        if settings.include_aliases_in_list:
            for alias in model.aliases:
                # One that is a model's id as well leads there, and has its record.
                if alias.strip() and alias not in settings.models:
                    yield _model(model, alias, status, {"type": "alias", "modelID": model.id})


def _model(model: Model, called: str, status: str, ours: Mapping[str, Value]) -> _Entry:
    return _Entry(
        called,
        status,
        ours,
        name=model.name.strip(),
        description=model.description.strip(),
        metadata=model.metadata or {},
        can=model.capabilities,
    )


def _peers(settings: Settings) -> Iterator[_Entry]:
    for full, one in settings.names.full.items():
        ours: dict[str, Value] = {"type": "peer", "peerID": one.peer}
        yield _Entry(full, STATUS[Phase.STOPPED], ours, name=f"{one.peer}: {one.model}")


def _selectors(settings: Settings, phase: PhaseOf) -> Iterator[_Entry]:
    for selector in settings.selectors.values():
        if selector.unlisted:
            continue
        ours: dict[str, Value] = {
            "type": "selector",
            "strategy": selector.strategy.value,
            "targets": list(selector.targets),
        }
        relevant = selector.targets
        if selector.strategy is Strategy.SPILLOVER:
            ours["spillover"] = selector.spillover
        elif selector.strategy is Strategy.PIN:
            relevant = relevant[:1]
        local = (settings.resolve(target) for target in relevant)
        phases = {phase(model) for model in local if model is not None}
        best = (one for one in (Phase.READY, Phase.STARTING) if one in phases)
        yield _Entry(
            selector.id,
            STATUS[next(best, Phase.STOPPED)],
            ours,
            name=selector.name.strip(),
            description=selector.description.strip(),
            metadata=selector.metadata,
        )


def _pins(settings: Settings, profile: Profile | None) -> Iterator[_Entry]:
    for pin, target in profile.pins.items() if profile is not None else ():
        # What it shadows is listed already, or hidden on purpose.
        taken = settings.names.target(pin) is not None or pin in settings.selectors
        if target and not taken:
            yield _Entry(pin, STATUS[Phase.STOPPED], {"type": "profile"})


def _record(entry: _Entry, now: int) -> Record:
    told = not entry.can.empty
    kept = {name: value for name, value in entry.metadata.items() if not (told and name in FILLED)}
    context = entry.can.context
    record: Record = {
        "id": entry.id,
        "object": "model",
        "created": now,
        "owned_by": "swapd",
        "name": entry.name,
        "description": entry.description,
        **capabilities(entry.can),
        "meta": {"llamaswap": {**kept, **entry.ours}, **({"n_ctx": context} if context else {})},
        "status": {"value": entry.status},
    }
    return {field: value for field, value in record.items() if value}


def capabilities(can: Capabilities) -> Record:
    inputs = [one.value for one in can.inputs]
    outputs = [one.value for one in can.outputs]
    architecture: Record = {
        "input_modalities": inputs,
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}" if inputs and outputs else "",
        "output_modalities": outputs,
    }
    flags = {
        "vision": Modality.IMAGE in can.inputs,
        **{
            name: source in can.inputs and result in can.outputs
            for name, (source, result) in CONVERSIONS.items()
        },
        "function_calling": can.tools,
        "reranker": can.reranker,
    }
    return {
        "architecture": {field: value for field, value in architecture.items() if value},
        "capabilities": {flag: True for flag, on in flags.items() if on},
        "supported_parameters": ["tools", "tool_choice"] if can.tools else [],
        "context_length": can.context,
    }
