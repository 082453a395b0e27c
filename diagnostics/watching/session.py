"""``watch``: two lines around a training loop that somebody else wrote. What the loop computes is never changed.

    with watch(model, every=10) as w:
        for batch in loader:
            ...; loss.backward(); w.step(optimizer, clip="norm:1.0")
    w.reach

A training step ends where ``w.step`` or ``w.clipped`` is called; forward passes without gradients do not count. Under
accumulation, several backward passes to a training step, the profile is that of the last one, and the norms are those
of the accumulated gradient.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Any, Self, SupportsFloat

import torch
from torch import Tensor, nn

from diagnostics.measures.clipping import parse_rule
from diagnostics.measures.whole_gradient import Clipped
from diagnostics.store import Store
from diagnostics.watching import steps
from diagnostics.watching.clip import Gradients, trained_by
from diagnostics.watching.events import Events, OnEvent
from diagnostics.watching.findings import Findings
from diagnostics.watching.following import StateOf
from diagnostics.watching.habits import Habits
from diagnostics.watching.passing import Pass
from diagnostics.watching.profiles import Profiles, Said
from diagnostics.watching.recording import Recording
from diagnostics.watching.rows import Rows
from diagnostics.watching.settings import Settings, claim, release, settings_of
from diagnostics.watching.sources import Sources
from diagnostics.watching.trouble import Trouble
from diagnostics.watching.trust import SelfCheck, Stopwatch


class Watch(Findings):
    """A watched training; made by ``watch``, which says what it takes, and used in a ``with`` block, once.

    What it found is read at any moment, also while training runs and after the block (see ``Findings``).
    """

    _recording: Recording
    _profiles: Profiles
    _sources: Sources

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._events = Events(settings.on_event)
        self._stopwatch = Stopwatch()
        self._check = SelfCheck(model)
        self._stack = ExitStack()
        self._state = "new"
        self._step = 0
        self._losses = steps.Losses()
        self._clip = settings.clip
        self._micro_steps = 1
        self._stepped: list[torch.optim.Optimizer] = []
        self._scaled = False
        self._habits = Habits()

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError(f"a watch is used in one with block, but this one has {self._state}: call watch() again")
        settings, model = self._settings, self._model
        with ExitStack() as stack:
            claim(model)
            stack.callback(release, model)
            self._sources = sources = Sources(model, settings.cells, settings.state)
            stack.callback(sources.close)
            self._gradients = Gradients(model)
            stack.callback(self._gradients.close)
            self._trouble = Trouble(self._events, self._gradients)
            stack.callback(self._check.close)
            self._recording = Recording(settings.store, settings.name)
            self._profiles = Profiles(
                sources,
                self._check,
                self._recording,
                self._events,
                every=settings.every,
                mean=settings.reduction == "mean",
                distance=settings.distance,
                timesteps=settings.timesteps,
            )
            self._gradients.unseen = partial(self._habits.update_unseen, self._profiles.drop)
            self._arm()
            self._stack = stack.pop_all()
        self._state = "begun"
        self._began_s = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._look_at_parameters()
                if self._step == 0 and self._gradients.fed:
                    self._habits.never_stepped()
            self._profiles.finish(Said(self._spec, self._info))
            self._recording.finish(*self._trouble.how_it_ended(error, self._step), self._info())
        finally:
            self._state = "ended"
            self._stack.close()

    # In the loop

    def step(
        self,
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        *,
        clip: str | None = None,
        scaler: Any = None,
        loss: Tensor | SupportsFloat | None = None,
    ) -> None:
        """In place of ``optimizer.step()``: measure the gradient, clip it, measure it again, and make the update.

        ``clip``: "none", "norm:THRESHOLD" or "value:THRESHOLD"; None: as it is, clipped by hand or not. By norm it is
        torch's ``clip_grad_norm_``, with the norm in float64. ``scaler``: a ``torch.amp.GradScaler``; the gradients are
        unscaled before they are measured, and ``scaler.step`` and ``scaler.update`` are called. ``loss``: the step's
        loss, at every step or at none. Several optimisers that share one backward pass are given as a list: a call with
        another one, without a backward pass between, updates and is no training step of its own.

        Raises ``ValueError`` for a rule that is none, a loss that is not one number or an optimiser that needs a
        closure, and ``RuntimeError`` outside of the ``with`` block.
        """
        with self._stopwatch.own():
            self._begun("step")
            chosen = steps.optimizers(optimizer)
            rule = None if clip is None else parse_rule(clip)
            value = self._losses.value(loss)
            backward = self._gradients.adopt_from(chosen) or bool(self._gradients.passes) or not self._gradients.fed
            joins = steps.another(chosen, self._stepped, backward=backward)
            self._stepped = [*self._stepped, *chosen] if joins else chosen
            parameters = trained_by(chosen)
            self._look_at_parameters()
            scale = float(scaler.get_scale()) if scaler is not None else 1.0
            passes = [] if joins else self._profiles.take()
            changed = self._gradients.changed(parameters)
            if scaler is not None:
                steps.unscale(scaler, chosen)
            gone = self._gradients.measure(parameters)
            self._habits.step(self._gradients, parameters, backward=backward, gone=gone, joins=joins)
            self._profiles.sizes = self._gradients.sizes(parameters, scale, by_hand=changed and rule is None)
            clipped = self._gradients.step(parameters, rule, scale, changed, keep_broken=scaler is not None)
            broken = self._gradients.broken_gradient(parameters) if clipped.broken else None
        for one in chosen:
            one.step() if scaler is None else scaler.step(one)
        if scaler is not None:
            scaler.update()
        if joins:
            return  # of the training step that is over
        with self._stopwatch.own():
            skipped = scaler is not None and float(scaler.get_scale()) < scale
            told = self._settings.clip
            self._clip = clip if clip is not None else self._habits.rule(told, parameters, changed=changed)
            self._over(passes, clipped, value, scale, self._clip, broken, skipped=skipped)
            self._look_at_parameters()
        self._stopwatch.step(bool(passes))

    def clipped(
        self, rule: str | None = None, *, loss: Tensor | SupportsFloat | None = None, scale: float = 1.0
    ) -> None:
        """Note a training step whose gradient the person has clipped (or not); call it before ``optimizer.step()``.

        ``rule``: how, as ``clip`` of ``step``; None: as ``watch`` was told. ``scale``: what the loss was multiplied by
        when the gradients were accumulated, where they have been unscaled since. Raises as ``step`` does.
        """
        with self._stopwatch.own():
            self._begun("clipped")
            if rule is not None:
                parse_rule(rule)
            if not 0 < scale < math.inf:
                raise ValueError(f"scale must be a number above 0, but got {scale!r}")
            value = self._losses.value(loss)
            self._look_at_parameters()
            backward = bool(self._gradients.passes) or not self._gradients.fed
            parameters = self._gradients.followed()
            passes = self._profiles.take()
            changed = self._gradients.changed(parameters)
            gone = self._gradients.measure(parameters)
            self._habits.step(self._gradients, parameters, backward=backward, gone=gone)
            self._profiles.sizes = self._gradients.sizes(parameters, scale, by_hand=changed)
            clipped = self._gradients.step(parameters, None, scale, changed, by_hand=True)
            broken = self._gradients.broken_gradient(parameters) if clipped.broken else None
            skipped = scale != 1.0 and clipped.broken
            self._clip = said = rule if rule is not None else self._settings.clip
            self._over(passes, clipped, value, scale, said, broken, skipped=skipped)
        self._stopwatch.step(bool(passes))

    def state(self, tensor: Tensor, *, layer: str = "state", c: Tensor | None = None) -> Any:
        """In a hand-written loop: ``tensor`` [B,H] is the state handed on at this timestep; go on with what is returned
        (the state, or (h, c) where ``c`` is given)."""
        if self._state != "begun":  # the same model is used outside of the block too
            return tensor if c is None else (tensor, c)
        return self._sources.marks.state(tensor, layer=layer, c=c)

    def scan(self, h: Tensor, decay: Tensor, *, layer: str = "scan", batch_first: bool = False) -> Tensor:
        """``h`` [T,B,H] are the states of a parallel scan h_t = a_t ⊙ h_{t−1} + b_t, with a = ``decay``; go on with
        what is returned."""
        if self._state != "begun":
            return h
        return self._sources.marks.scan(h, decay, layer=layer, batch_first=batch_first)

    # What a training step leaves

    def _over(
        self,
        passes: Sequence[Pass],
        clipped: Clipped,
        loss: float,
        scale: float,
        rule: str,
        broken: tuple[str, Tensor] | None,
        *,
        skipped: bool,
    ) -> None:
        """The training step is over, clipped by ``rule`` as far as anybody said: write it down, and prepare for the
        next."""
        step = self._step
        self._micro_steps = max(1, self._gradients.passes)
        self._scaled = self._scaled or scale != 1.0
        row = steps.row(step, loss, clipped, time.monotonic() - self._began_s)
        said = Said(self._spec, self._info)
        self._profiles.begin(passes, said)
        self._recording.step(row)
        self._profiles.record(step, passes, scale, said, usable=not skipped)
        self._profiles.row(row)
        if skipped:
            self._trouble.skipped(step, clipped, scale)
        else:
            self._events.clipping(row, rule)
            self._trouble.after_backward(step, passes, loss if self._losses.known else None, broken)
        self._gradients.forget()
        self._trouble.update_follows(step)
        self._step += 1
        self._arm()
        self._recording.flush(now=False)

    def _arm(self) -> None:
        self._profiles.arm_if_due(self._step)
        self._gradients.sized = self._profiles.sized

    def _look_at_parameters(self) -> None:
        """Where the last update has left no numbers there is nothing left to record."""
        if self._trouble.after_update():
            self._recording.finish("diverged", self._trouble.diverged, self._info())

    def _spec(self, rows: Rows) -> Mapping[str, Any]:
        settings = self._settings
        return rows.spec(
            every=settings.every, reduction=settings.reduction, clip=self._clip, loss=bool(self._losses.known)
        )

    def _begun(self, what: str) -> None:
        if self._state != "begun":
            raise RuntimeError(
                f"w.{what} must be called inside of the with block of its watch, which has {_WHEN[self._state]}"
            )


def watch(
    model: nn.Module,
    *,
    every: int = 10,
    name: str = "",
    cells: Mapping[str, nn.Module] | Sequence[str] | None = None,
    state: StateOf | None = None,
    reduction: str = "mean",
    distance: int | None = None,
    timesteps: int | None = None,
    clip: str | None = None,
    store: Store | str | PathLike[str] | bool | None = None,
    on_event: OnEvent | None = None,
) -> Watch:
    """Watch the gradient through time in a training loop, and record it as runs: ``with watch(model) as w: …``.

    ``every``: one training step in so many is recorded, the first included; in the others the model runs as it is, and
    only the norms of its parameters' gradients are taken. ``name``: of the comparison. ``cells``: names of modules that
    are called once per timestep, or name → module; None: they are recognised. ``state``: from the arguments, the
    keyword arguments and the output of a call of one of those to the tensor, or (h, c), that it hands on.
    ``reduction``: how the loss joins the samples, "mean" or "sum". ``distance``: how many steps back from the loss
    what the answer depends on lies; None: nobody says. ``timesteps``: how many of the last timesteps a profile has;
    None: the most that half of the first batches have. ``clip``: how the person clips by hand. ``store``: the folder of
    runs; None: ``$GRADREACH_STORE`` or ./runs; False: a temporary one that goes with the object. ``on_event``: a
    function that is called with each ``Event``, or a dict of them by kind.

    Raises ``TypeError`` where ``model`` is no module, ``ValueError`` where a setting is wrong.
    """
    asked = settings_of(
        model,
        every=every,
        name=name,
        cells=cells,
        state=state,
        reduction=reduction,
        distance=distance,
        timesteps=timesteps,
        clip=clip,
        store=store,
        on_event=on_event,
    )
    return Watch(model, asked)


_WHEN = {"new": "not begun", "ended": "ended"}
