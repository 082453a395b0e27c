"""A plan and a kind's name → the network, with parameters that are still zero."""

from __future__ import annotations

from importlib import import_module

from models.encoder_decoder import EncoderDecoder
from models.kinds import MODELS
from models.model import Model
from models.network import Network
from models.plan import Plan


def assemble(kind: str, plan: Plan) -> Model:
    """The network of a kind of ``MODELS``; kinds without recurrence are imported when they are asked for.

    Raises ``KeyError`` where there is no such kind.
    """
    if MODELS[kind].recurrent:
        return EncoderDecoder(plan) if plan.bridge else Network.of(plan)
    made: Model = import_module(f"models.{kind}").MODEL(plan)
    return made
