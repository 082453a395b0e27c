"""A callback for Lightning (the packages ``lightning`` and ``pytorch_lightning``).

    from diagnostics.integrations.lightning import GradReach

    reach = GradReach(every=10, name="my run")
    Trainer(callbacks=[reach], gradient_clip_val=1.0).fit(module)
    reach.watch.reach

When what is measured, in the order of Lightning 2's automatic optimisation (``Precision._after_closure``): backward
passes, as many as ``accumulate_grad_batches``; unscaling under 16-mixed precision; ``configure_gradient_clipping``;
``optimizer.step``. The norm before clipping is taken from the gradients as they were accumulated, divided by the loss
scale; that after it, when ``configure_gradient_clipping`` returns. No callback hook lies there, so the module's method
is wrapped while ``fit`` runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from diagnostics.integrations.attached import Attached, Forward
from diagnostics.integrations.needed import needed

if TYPE_CHECKING:
    from diagnostics.watching.session import Watch

# Whoever trains with the older name has imported it already; its Trainer takes only callbacks of its own.
_OLDER = "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules
_callbacks: Any = needed("pytorch_lightning.callbacks" if _OLDER else "lightning.pytorch.callbacks", "lightning")

_SHARDED = ("fsdp", "deepspeed", "modelparallel", "xla")
_HOOK = "configure_gradient_clipping"


class GradReach(_callbacks.Callback):
    """Watches the module while ``Trainer.fit`` runs, on the first process alone.

    Keyword arguments as of ``diagnostics.watch``; the rule of clipping is the Trainer's. ``forward`` is called with the
    watch and the Trainer's step, every ``log_every_n_steps`` and at the end. Raises ``ValueError`` when ``fit`` begins
    with a module of manual optimisation or with a strategy that shards the parameters.
    """

    def __init__(self, *, forward: Forward | None = None, **options: Any) -> None:
        super().__init__()
        self._attached = Attached(forward, options)
        self._loss: Tensor | None = None
        self._restore: Callable[[], None] | None = None

    @property
    def watch(self) -> Watch:
        """What was found, also while ``fit`` runs."""
        return self._attached.watch

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Attach."""
        _refuse(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        self._attached.open(pl_module)
        self._loss = None
        self._wrap(trainer, pl_module)

    def _wrap(self, trainer: Any, module: Any) -> None:
        """Have the end of ``configure_gradient_clipping`` told to us."""
        original, own = getattr(module, _HOOK), module.__dict__.get(_HOOK)

        def clip_and_tell(optimizer: Any, *args: Any, **arguments: Any) -> None:
            original(optimizer, *args, **arguments)
            self._step(trainer, module, optimizer)

        def restore() -> None:
            module.__dict__.pop(_HOOK, None)
            if own is not None:
                module.__dict__[_HOOK] = own

        module.__dict__[_HOOK] = clip_and_tell
        self._restore = restore

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        """Keep the loss, which Lightning has divided by ``accumulate_grad_batches`` and multiplied by the scale."""
        part = loss.detach() / _scale(trainer)
        self._loss = part if self._loss is None else self._loss + part

    def _step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        """The gradients are clipped, and the optimiser is about to see them."""
        scale = _scale(trainer)
        if scale != 1 and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise ValueError(
                f"GradReach needs gradients that are unscaled before the step, but {type(optimizer).__name__} unscales "
                "them within it: take fused=False"
            )
        loss, self._loss = self._loss, None
        if loss is not None:  # a training step that returned None has no gradient either
            self._attached.step(_rule(trainer, module), loss=loss, scale=scale)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Forward, as often as Lightning logs."""
        step = int(trainer.global_step)
        stepped = not trainer.fit_loop._should_accumulate()
        if self._attached.running and stepped and trainer.log_every_n_steps and step % trainer.log_every_n_steps == 0:
            self._attached.send(step)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Forward for the last time, before the loggers are closed, and detach."""
        if self._attached.running:
            self._close(None)
            self._attached.send(int(trainer.global_step))

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Detach, and note what training ended with."""
        self._close(exception)

    def _close(self, error: BaseException | None) -> None:
        restore, self._restore = self._restore, None
        if restore is not None:
            restore()
        self._attached.close(error)


def _refuse(trainer: Any, module: Any) -> None:
    """Raise ``ValueError`` for what cannot be followed from a callback."""
    if not module.automatic_optimization:
        raise ValueError(
            f"GradReach follows Lightning's automatic optimization, but {type(module).__name__} has "
            "automatic_optimization = False: call diagnostics.watch and w.step in its training_step instead"
        )
    strategy = type(trainer.strategy).__name__
    if any(name in strategy.lower() for name in _SHARDED):
        raise ValueError(f"GradReach needs whole parameters on one device, but {strategy} shards them")


def _scale(trainer: Any) -> float:
    """What the loss is multiplied by under 16-mixed precision, 1 otherwise."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())


def _rule(trainer: Any, module: Any) -> str | None:
    """How Lightning clips, as ``Watch.clipped`` takes it; None where the module clips in a way of its own."""
    if getattr(type(module), _HOOK).__qualname__ != f"LightningModule.{_HOOK}":
        return None
    if not trainer.gradient_clip_val:
        return "none"
    algorithm = trainer.gradient_clip_algorithm
    return f"{getattr(algorithm, 'value', algorithm) or 'norm'}:{float(trainer.gradient_clip_val)!r}"
